//! Ends all sessions of a user, or all but one.

use rusqlite::{Connection, params};

use super::{Event, log_event, ruled_pk};
use crate::{
    model::Action,
    store::{
        StoreError,
        commands::{ALL_SESSIONS, EndSessions},
        sqlite::writer::RunInSqlite,
    },
};

impl RunInSqlite for EndSessions {
    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let pk = ruled_pk(connection, &self.user_id, &self.meta)?;
        let except = self.except.map(|id| *id.0.as_bytes());
        // Those that have ended by themselves are left to the purge: they are nothing to count.
        let ended = connection
            .prepare_cached("DELETE FROM sessions WHERE user_pk = ?1 AND id IS NOT ?2 AND expires_at > ?3")?
            .execute(params![pk, except, self.meta.at])?;
        if ended > 0 {
            let event = Event { user: Some((pk, &self.user_id)), target: ALL_SESSIONS, ..Event::default() };
            log_event(connection, Action::SessionRevoked, &event, &self.meta)?;
        }
        Ok(u32::try_from(ended).unwrap_or(u32::MAX))
    }
}
