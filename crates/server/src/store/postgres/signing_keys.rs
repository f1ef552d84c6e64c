//! The keys that sign access tokens, in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    model::{ChangeMeta, Timestamp},
    store::{SigningKey, SigningKeyStore, StoreError},
};

#[async_trait]
impl SigningKeyStore for PostgresStore {
    async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, StoreError> {
        unimplemented!()
    }

    async fn ensure_signing_key(&self, fresh: SigningKey) -> Result<Vec<SigningKey>, StoreError> {
        unimplemented!()
    }

    async fn rotate_signing_key(&self, fresh: SigningKey, meta: ChangeMeta) -> Result<Vec<SigningKey>, StoreError> {
        unimplemented!()
    }

    async fn purge_signing_keys(&self, retired_before: Timestamp) -> Result<u32, StoreError> {
        unimplemented!()
    }
}
