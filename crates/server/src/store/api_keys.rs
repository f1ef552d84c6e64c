//! API keys, as a store keeps them.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{ApiKey, ApiKeyId, ChangeMeta, Permission, PermissionSet, Timestamp};

/// API keys that there may be; beyond them, [`StoreError::LimitReached`].
pub const API_KEYS_MAX: u32 = 1_000;

/// A key to add.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its record.
    pub key: ApiKey,
    /// SHA-256 of the key itself.
    pub hash: [u8; 32],
}

/// The last use of an API key, for [`ApiKeyStore::touch_api_keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeyUse {
    /// Which.
    pub id: ApiKeyId,
    /// When.
    pub at: Timestamp,
}

/// API keys. Like every command of the store, each is one atomic commit with its event in the change log.
#[async_trait]
pub trait ApiKeyStore {
    /// Adds a key. [`StoreError::LimitReached`] if there are [`API_KEYS_MAX`] already.
    async fn create_api_key(&self, new: NewApiKey, meta: ChangeMeta) -> Result<(), StoreError>;

    /// Up to `limit` keys that are not revoked, the newest first, after this place.
    async fn list_api_keys(&self, after: Option<(Timestamp, ApiKeyId)>, limit: u32) -> Result<Vec<ApiKey>, StoreError>;

    /// Removes a key and ends what is under way with it. [`StoreError::NotFound`] if there is none of this id.
    async fn revoke_api_key(&self, id: ApiKeyId, meta: ChangeMeta) -> Result<(), StoreError>;

    /// Notes when keys were last used, if that is news. Keys that are gone are passed over. No event: nobody's doing.
    async fn touch_api_keys(&self, uses: Vec<ApiKeyUse>) -> Result<(), StoreError>;
}

/// The permissions in scopes as a store keeps them: their names, separated by spaces. A name that this binary does not know gives nothing.
pub(super) fn scopes_from(text: &str) -> PermissionSet {
    text.split(' ').filter_map(Permission::find).collect()
}

/// The other way round.
pub(super) fn scopes_text(scopes: PermissionSet) -> String {
    scopes.iter().map(Permission::name).collect::<Vec<_>>().join(" ")
}
