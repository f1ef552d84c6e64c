//! Grants in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use std::sync::Arc;

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    model::{ApiKeyId, SessionId, Timestamp, UserId},
    store::{GrantStore, Live, StoreError},
};

#[async_trait]
impl GrantStore for PostgresStore {
    async fn find_session_grant(
        &self,
        user_id: &UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, StoreError> {
        unimplemented!()
    }

    async fn find_api_key_grant(
        &self,
        id: ApiKeyId,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, StoreError> {
        unimplemented!()
    }
}
