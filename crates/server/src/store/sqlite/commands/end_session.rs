//! Ends one session of a user.

use rusqlite::{Connection, params};

use super::{Event, log_event, ruled_pk, session_target};
use crate::{
    model::{Action, ChangeMeta, SessionId, UserId},
    store::{Ended, StoreError, answers::Kept, sqlite::writer::Command},
};

/// See [`crate::store::SessionStore::end_session`].
pub(in crate::store::sqlite) struct EndSession {
    pub(in crate::store::sqlite) user_id: UserId,
    pub(in crate::store::sqlite) id: SessionId,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for EndSession {
    type Output = ();

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

    fn ends(&self, _: &()) -> Vec<Ended> {
        vec![Ended::Session { user_id: self.user_id.clone(), id: self.id }]
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, ended: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(ended)
    }
}
