//! Changes a user's preferences.

use super::{Command, Event, log_event};
use crate::{
    model::{Action, ChangeMeta, Preferences, PreferencesPatch, UserId, inputs},
    store::{
        StoreError,
        answers::Kept,
        postgres::{preferences, tx::Tx},
    },
};

/// See [`crate::store::PreferencesStore::update_preferences`].
pub(in crate::store::postgres) struct UpdatePreferences {
    pub(in crate::store::postgres) user_id: UserId,
    pub(in crate::store::postgres) patch: PreferencesPatch,
    pub(in crate::store::postgres) etag: Option<String>,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for UpdatePreferences {
    type Output = Preferences;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Preferences, StoreError> {
        let (pk, before) = preferences::locked(tx, &self.user_id).await?;
        if self.etag.as_ref().is_some_and(|etag| *etag != before.etag()) {
            return Err(StoreError::Stale);
        }
        let (after, changed) = self.patch.apply(&before, self.meta.at);
        // Keys can be added one by one, so only the preferences as they become show whether they are too many.
        inputs::check_attributes_size(&after.custom)
            .map_err(|description| StoreError::Rejected { field: "preferences.custom".into(), description })?;
        if !changed.is_empty() {
            preferences::put(tx, pk, &after)?;
            let user = Some(&self.user_id);
            let event = Event { user, target: "preferences", fields: &changed, ..Event::default() };
            log_event(tx, Action::PreferencesUpdated, &event, &self.meta)?;
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
