//! Ends all sessions of a user, or all but one.

use rusqlite::{Connection, params};

use super::{ALL_SESSIONS, Event, log_event, ruled_pk};
use crate::{
    model::{Action, ChangeMeta, SessionId, UserId},
    store::{Ended, StoreError, answers::Kept, sqlite::writer::Command},
};

/// See [`crate::store::SessionStore::end_sessions`].
pub(in crate::store::sqlite) struct EndSessions {
    pub(in crate::store::sqlite) user_id: UserId,
    pub(in crate::store::sqlite) except: Option<SessionId>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for EndSessions {
    type Output = u32;

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

    fn ends(&self, _: &u32) -> Vec<Ended> {
        vec![Ended::SessionsOf { user_id: self.user_id.clone(), except: self.except }]
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, ended: &u32) -> Result<Option<Kept>, StoreError> {
        Kept::of(ended)
    }
}
