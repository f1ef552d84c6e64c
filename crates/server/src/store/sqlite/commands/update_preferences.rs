//! Changes a user's preferences.

use rusqlite::Connection;

use super::{Event, log_event};
use crate::{
    model::{Action, Preferences},
    store::{
        StoreError,
        commands::UpdatePreferences,
        sqlite::{preferences, writer::RunInSqlite},
    },
};

impl RunInSqlite for UpdatePreferences {
    fn run(&self, connection: &Connection) -> Result<Preferences, StoreError> {
        let (pk, before) = preferences::find(connection, &self.user_id)?.ok_or(StoreError::NotFound)?;
        let (after, changed) = self.apply(&before)?;
        if !changed.is_empty() {
            preferences::put(connection, pk, &after)?;
            let user = Some((pk, &self.user_id));
            let event = Event { user, target: "preferences", fields: &changed, ..Event::default() };
            log_event(connection, Action::PreferencesUpdated, &event, &self.meta)?;
        }
        Ok(after)
    }
}
