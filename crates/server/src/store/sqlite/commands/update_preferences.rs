//! Changes a user's preferences.

use rusqlite::Connection;

use super::{Event, log_event};
use crate::{
    model::{Action, ChangeMeta, Preferences, PreferencesPatch, UserId, inputs},
    store::{
        StoreError,
        answers::Kept,
        sqlite::{preferences, writer::Command},
    },
};

/// See [`crate::store::PreferencesStore::update_preferences`].
pub(in crate::store::sqlite) struct UpdatePreferences {
    pub(in crate::store::sqlite) user_id: UserId,
    pub(in crate::store::sqlite) patch: PreferencesPatch,
    pub(in crate::store::sqlite) etag: Option<String>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for UpdatePreferences {
    type Output = Preferences;

    fn run(&self, connection: &Connection) -> Result<Preferences, StoreError> {
        let (pk, before) = preferences::find(connection, &self.user_id)?.ok_or(StoreError::NotFound)?;
        if self.etag.as_ref().is_some_and(|etag| *etag != before.etag()) {
            return Err(StoreError::Stale);
        }
        let (after, changed) = self.patch.apply(&before, self.meta.at);
        // Keys can be added one by one, so only the preferences as they become show whether they are too many.
        inputs::check_attributes_size(&after.custom)
            .map_err(|description| StoreError::Rejected { field: "preferences.custom".into(), description })?;
        if !changed.is_empty() {
            preferences::put(connection, pk, &after)?;
            let user = Some((pk, &self.user_id));
            let event = Event { user, target: "preferences", fields: &changed, ..Event::default() };
            log_event(connection, Action::PreferencesUpdated, &event, &self.meta)?;
        }
        Ok(after)
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, preferences: &Preferences) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.user_id, preferences)
    }
}
