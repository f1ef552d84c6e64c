//! API keys in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    model::{ApiKey, ApiKeyId, ChangeMeta, Timestamp},
    store::{ApiKeyStore, ApiKeyUse, NewApiKey, StoreError},
};

#[async_trait]
impl ApiKeyStore for PostgresStore {
    async fn create_api_key(&self, new: NewApiKey, meta: ChangeMeta) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn list_api_keys(&self, after: Option<(Timestamp, ApiKeyId)>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
        unimplemented!()
    }

    async fn revoke_api_key(&self, id: ApiKeyId, meta: ChangeMeta) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn touch_api_keys(&self, uses: Vec<ApiKeyUse>) -> Result<(), StoreError> {
        unimplemented!()
    }
}
