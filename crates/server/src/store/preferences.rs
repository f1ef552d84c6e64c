//! Preferences of users, as a store keeps them.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{ChangeMeta, Preferences, PreferencesPatch, UserId};

/// Preferences. A command is one atomic commit with its event in the change log; none changes the user's revision.
#[async_trait]
pub trait PreferencesStore {
    /// The user's preferences, the defaults if they never changed; `None` if there is no such user.
    async fn find_preferences(&self, user_id: &UserId) -> Result<Option<Preferences>, StoreError>;

    /// Applies `patch`; a patch that changes nothing leaves the revision as it is. [`StoreError::NotFound`] if there is
    /// no such user, [`StoreError::Stale`] if `etag` is given and is not that of the preferences.
    async fn update_preferences(
        &self,
        user_id: &UserId,
        patch: PreferencesPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<Preferences, StoreError>;
}
