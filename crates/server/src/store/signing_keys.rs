//! The keys that sign access tokens, as a store keeps them.

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::StoreError;
use crate::model::{ChangeMeta, Timestamp};

/// An Ed25519 key pair that signs access tokens, or did until it was retired.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// `kid` in tokens.
    pub id: String,
    /// PKCS #8.
    pub private_key: Zeroizing<Vec<u8>>,
    /// 32 bytes, as RFC 8032 has them.
    pub public_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When another took its place; `None` for the one that signs.
    pub retired_at: Option<Timestamp>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).field("retired_at", &self.retired_at).finish_non_exhaustive()
    }
}

/// Signing keys. Exactly one signs, on every node, once [`SigningKeyStore::ensure_signing_key`] has been called.
#[async_trait]
pub trait SigningKeyStore {
    /// All keys: the one that signs, and then the retired ones, the last retired first.
    async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, StoreError>;

    /// Adds `fresh` if no key signs yet; all keys then. Of many nodes that start at once, one adds its own.
    async fn ensure_signing_key(&self, fresh: SigningKey) -> Result<Vec<SigningKey>, StoreError>;

    /// Retires the key that signs and puts `fresh` in its place; all keys then.
    async fn rotate_signing_key(&self, fresh: SigningKey, meta: ChangeMeta) -> Result<Vec<SigningKey>, StoreError>;

    /// Removes the keys that were retired before this moment; how many. No event: their tokens have ended.
    async fn purge_signing_keys(&self, retired_before: Timestamp) -> Result<u32, StoreError>;
}
