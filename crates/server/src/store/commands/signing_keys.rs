//! Makes, rotates and removes the keys that sign access tokens.

use super::Command;
use crate::{
    model::{ChangeMeta, Timestamp},
    store::{SigningKey, StoreError, answers::Kept},
};

/// See [`crate::store::SigningKeyStore::ensure_signing_key`].
pub struct EnsureSigningKey {
    pub fresh: SigningKey,
}

impl Command for EnsureSigningKey {
    type Output = Vec<SigningKey>;
}

/// See [`crate::store::SigningKeyStore::rotate_signing_key`].
pub struct RotateSigningKey {
    pub fresh: SigningKey,
    pub meta: ChangeMeta,
}

impl Command for RotateSigningKey {
    type Output = Vec<SigningKey>;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, _: &Vec<SigningKey>) -> Result<Option<Kept>, StoreError> {
        Kept::prepared(None, &self.meta)
    }
}

/// See [`crate::store::SigningKeyStore::purge_signing_keys`].
pub struct PurgeSigningKeys {
    pub retired_before: Timestamp,
}

impl Command for PurgeSigningKeys {
    type Output = u32;
}
