//! Ends one session of a user.

use rusqlite::{Connection, params};

use super::{Event, log_event, ruled_pk};
use crate::{
    model::Action,
    store::{
        StoreError,
        commands::{EndSession, session_target},
        sqlite::writer::RunInSqlite,
    },
};

impl RunInSqlite for EndSession {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let pk = ruled_pk(connection, &self.user_id, &self.meta)?;
        let ended = connection
            .prepare_cached("DELETE FROM sessions WHERE id = ?1 AND user_pk = ?2 AND expires_at > ?3")?
            .execute(params![self.id.0.as_bytes(), pk, self.meta.at])?;
        if ended == 0 {
            return Err(StoreError::NotFound);
        }
        let event = Event { user: Some((pk, &self.user_id)), target: &session_target(self.id), ..Event::default() };
        log_event(connection, Action::SessionRevoked, &event, &self.meta)
    }
}
