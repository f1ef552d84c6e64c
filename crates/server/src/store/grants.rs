//! What a session or an API key lets its holder do now.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Live, StoreError};
use crate::model::{ApiKeyId, SessionId, Timestamp, UserId};

/// Reads of grants. What they give is live: a commit that takes it away or changes it ends it before it is answered.
/// `None` is said of whatever does not hold now, without a difference.
#[async_trait]
pub trait GrantStore {
    /// The grant of a session that has not ended, of this user, who is active.
    async fn find_session_grant(
        &self,
        user_id: &UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, StoreError>;

    /// The grant of the API key with this SHA-256, compared in constant time, if it has not ended. Who made it must be
    /// an active user still, whose role bounds it; a key that an operator made has its scopes whole.
    async fn find_api_key_grant(
        &self,
        id: ApiKeyId,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, StoreError>;
}
