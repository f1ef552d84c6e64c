//! Takes a refresh token for the next, or ends the session if it was used before.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Event, log_event, session_target};
use crate::{
    model::{Action, ChangeMeta, Session, SessionId, UserStatus},
    store::{
        Ended, RefreshUse, StoreError,
        answers::Kept,
        sessions::{REUSED, Refreshed},
        sqlite::writer::Command,
    },
};

/// See [`crate::store::SessionStore::refresh_session`].
pub(in crate::store::sqlite) struct RefreshSession {
    pub(in crate::store::sqlite) used: RefreshUse,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

/// The session's row, and its user's.
struct Current {
    pk: i64,
    session: Session,
    generation: u32,
    hash: [u8; 32],
}

impl Command for RefreshSession {
    type Output = Refreshed;

    fn run(&self, connection: &Connection) -> Result<Refreshed, StoreError> {
        let Some(Current { pk, mut session, generation, hash }) = self.current(connection)? else {
            return Ok(Refreshed::Refused);
        };
        if self.used.generation < generation {
            connection.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([self.used.id.0.as_bytes()])?;
            let target = session_target(session.id);
            let event =
                Event { user: Some((pk, &session.user_id)), target: &target, reason: REUSED, ..Event::default() };
            log_event(connection, Action::SessionRevoked, &event, &self.meta)?;
            return Ok(Refreshed::Reused { user_id: session.user_id, id: session.id });
        }
        // A token of a later generation is of a database that was since put back to an older backup.
        let (true, Some(next)) = (hash == self.used.hash, generation.checked_add(1)) else {
            return Ok(Refreshed::Refused);
        };
        session.last_used_at = self.meta.at.max(session.last_used_at);
        session.expires_at = self.used.expires_at;
        session.remote_address.clone_from(&self.meta.remote_address);
        connection
            .prepare_cached(
                "UPDATE sessions SET generation = ?2, refresh_hash = ?3, last_used_at = ?4, expires_at = ?5,
                                     remote_address = ?6
                 WHERE id = ?1",
            )?
            .execute(params![
                session.id.0.as_bytes(),
                next,
                self.used.next_hash,
                session.last_used_at,
                session.expires_at,
                session.remote_address,
            ])?;
        Ok(Refreshed::Renewed(session))
    }

    fn ends(&self, output: &Refreshed) -> Vec<Ended> {
        match output {
            Refreshed::Renewed(_) | Refreshed::Refused => Vec::new(),
            Refreshed::Reused { user_id, id } => vec![Ended::Session { user_id: user_id.clone(), id: *id }],
        }
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, output: &Refreshed) -> Result<Option<Kept>, StoreError> {
        match output {
            Refreshed::Renewed(session) => Kept::prepared(Some(&session.user_id), &self.meta),
            Refreshed::Reused { .. } | Refreshed::Refused => Ok(None),
        }
    }
}

impl RefreshSession {
    /// The session if it has not ended and its user is active.
    fn current(&self, connection: &Connection) -> Result<Option<Current>, StoreError> {
        Ok(connection
            .prepare_cached(
                "SELECT u.pk, u.id, s.device, s.remote_address, s.created_at, s.last_used_at, s.expires_at,
                        s.generation, s.refresh_hash
                 FROM sessions s JOIN users u ON u.pk = s.user_pk
                 WHERE s.id = ?1 AND s.expires_at > ?2 AND u.status = ?3",
            )?
            .query_row(params![self.used.id.0.as_bytes(), self.meta.at, UserStatus::Active as i64], |row| {
                current_from_row(row, self.used.id)
            })
            .optional()?)
    }
}

fn current_from_row(row: &Row<'_>, id: SessionId) -> rusqlite::Result<Current> {
    let session = Session {
        id,
        user_id: row.get(1)?,
        device: row.get(2)?,
        remote_address: row.get(3)?,
        created_at: row.get(4)?,
        last_used_at: row.get(5)?,
        expires_at: row.get(6)?,
    };
    Ok(Current { pk: row.get(0)?, session, generation: row.get(7)?, hash: row.get(8)? })
}
