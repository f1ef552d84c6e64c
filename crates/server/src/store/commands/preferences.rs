//! Changes a user's preferences.

use super::{Command, check_etag};
use crate::{
    model::{ChangeMeta, Preferences, PreferencesPatch, UserId, inputs},
    store::{StoreError, answers::Kept},
};

/// See [`crate::store::PreferencesStore::update_preferences`].
pub struct UpdatePreferences {
    pub user_id: UserId,
    pub patch: PreferencesPatch,
    pub etag: Option<String>,
    pub meta: ChangeMeta,
}

impl UpdatePreferences {
    /// What it makes of the preferences, and the names of the fields that change.
    pub fn apply(&self, before: &Preferences) -> Result<(Preferences, Vec<&'static str>), StoreError> {
        check_etag(self.etag.as_deref(), || before.etag())?;
        let (after, changed) = self.patch.apply(before, self.meta.at);
        // Keys can be added one by one, so only the preferences as they become show whether they are too many.
        inputs::check_attributes_size(&after.custom)
            .map_err(|description| StoreError::Rejected { field: "preferences.custom".into(), description })?;
        Ok((after, changed))
    }
}

impl Command for UpdatePreferences {
    type Output = Preferences;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, preferences: &Preferences) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.user_id, preferences)
    }
}
