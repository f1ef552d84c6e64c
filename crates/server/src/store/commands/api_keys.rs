//! Adds and revokes API keys, and notes their use.

use super::Command;
use crate::{
    model::{ApiKeyId, ChangeMeta, UserId},
    store::{ApiKeyUse, Ended, NewApiKey, StoreError, answers::Kept},
};

/// See [`crate::store::ApiKeyStore::create_api_key`].
pub struct CreateApiKey {
    pub new: NewApiKey,
    pub meta: ChangeMeta,
}

impl Command for CreateApiKey {
    type Output = ();

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, _: &()) -> Result<Option<Kept>, StoreError> {
        Kept::prepared(self.new.key.created_by.as_ref(), &self.meta)
    }
}

/// See [`crate::store::ApiKeyStore::revoke_api_key`].
pub struct RevokeApiKey {
    pub id: ApiKeyId,
    pub meta: ChangeMeta,
}

impl Command for RevokeApiKey {
    /// Who made the key.
    type Output = Option<UserId>;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, _: &Option<UserId>) -> Result<Option<Kept>, StoreError> {
        Kept::of(&())
    }

    fn ends(&self, created_by: &Option<UserId>) -> Vec<Ended> {
        vec![Ended::ApiKey { id: self.id, created_by: created_by.clone() }]
    }
}

/// See [`crate::store::ApiKeyStore::touch_api_keys`].
pub struct TouchApiKeys {
    pub uses: Vec<ApiKeyUse>,
}

impl Command for TouchApiKeys {
    type Output = ();
}
