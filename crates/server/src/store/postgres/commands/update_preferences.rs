//! Changes a user's preferences.

use super::{Event, RunInPostgres, log_event};
use crate::{
    model::{Action, Preferences},
    store::{
        StoreError,
        commands::UpdatePreferences,
        postgres::{preferences, tx::Tx},
    },
};

impl RunInPostgres for UpdatePreferences {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Preferences, StoreError> {
        let (pk, before) = preferences::locked(tx, &self.user_id).await?;
        let (after, changed) = self.apply(&before)?;
        if !changed.is_empty() {
            preferences::put(tx, pk, &after)?;
            let user = Some(&self.user_id);
            let event = Event { user, target: "preferences", fields: &changed, ..Event::default() };
            log_event(tx, Action::PreferencesUpdated, &event, &self.meta)?;
        }
        Ok(after)
    }
}
