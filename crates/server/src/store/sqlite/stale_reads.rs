//! Reads that may be old: here none is, since what memory has is current.

use async_trait::async_trait;

use super::SqliteStore;
use crate::{
    model::{Preferences, Staleness, UserId},
    store::{PreferencesStore as _, StaleReads, Store as _, StoreError, StoredUser, UserQuery},
};

#[async_trait]
impl StaleReads for SqliteStore {
    fn remembered_user(&self, id: &UserId, _: Staleness) -> Option<StoredUser> {
        self.cached_user(id)
    }

    async fn find_user_within(&self, id: &UserId, _: Staleness) -> Result<Option<StoredUser>, StoreError> {
        self.find_user(id).await
    }

    async fn find_user_by_email_within(&self, email_key: &str, _: Staleness) -> Result<Option<StoredUser>, StoreError> {
        self.find_user_by_email(email_key).await
    }

    async fn find_preferences_within(&self, user_id: &UserId, _: Staleness) -> Result<Option<Preferences>, StoreError> {
        self.find_preferences(user_id).await
    }

    async fn list_users_within(&self, query: UserQuery, _: Staleness) -> Result<Vec<StoredUser>, StoreError> {
        self.list_users(query).await
    }

    async fn search_users_within(
        &self,
        query: UserQuery,
        total_max: u32,
        _: Staleness,
    ) -> Result<(Vec<StoredUser>, u32), StoreError> {
        self.search_users(query, total_max).await
    }
}
