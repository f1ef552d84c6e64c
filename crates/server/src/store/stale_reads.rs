//! Reads that may show what was true a while ago, for callers that say so.

use async_trait::async_trait;

use super::{StoreError, StoredUser, UserQuery};
use crate::model::{Preferences, Staleness, UserId};

/// The same reads as those of [`Store`](super::Store) and [`PreferencesStore`](super::PreferencesStore), for who can do with
/// an older answer. Each shows what was so at one moment, not longer before the read began than `staleness`; without any it
/// is the plain read. Nothing that decides what somebody may do is read like this.
#[async_trait]
pub trait StaleReads {
    /// The user, if memory has one that is recent enough; no I/O. `None` says nothing about existence.
    fn remembered_user(&self, id: &UserId, staleness: Staleness) -> Option<StoredUser>;

    /// The user from the database, for [`StaleReads::remembered_user`] to have it from then on.
    async fn find_user_within(&self, id: &UserId, staleness: Staleness) -> Result<Option<StoredUser>, StoreError>;

    /// See [`Store::find_user_by_email`](super::Store::find_user_by_email).
    async fn find_user_by_email_within(
        &self,
        email_key: &str,
        staleness: Staleness,
    ) -> Result<Option<StoredUser>, StoreError>;

    /// See [`PreferencesStore::find_preferences`](super::PreferencesStore::find_preferences).
    async fn find_preferences_within(
        &self,
        user_id: &UserId,
        staleness: Staleness,
    ) -> Result<Option<Preferences>, StoreError>;

    /// See [`Store::list_users`](super::Store::list_users).
    async fn list_users_within(&self, query: UserQuery, staleness: Staleness) -> Result<Vec<StoredUser>, StoreError>;

    /// See [`Store::search_users`](super::Store::search_users).
    async fn search_users_within(
        &self,
        query: UserQuery,
        total_max: u32,
        staleness: Staleness,
    ) -> Result<(Vec<StoredUser>, u32), StoreError>;
}
