//! Takes a refresh token for the next, or ends the session if it was used before.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Event, log_event};
use crate::{
    model::{Action, Session, SessionId, UserStatus},
    store::{
        StoreError,
        commands::{Judged, Presented, RefreshSession, Refreshed, session_target},
        sessions::REUSED,
        sqlite::writer::RunInSqlite,
    },
};

impl RunInSqlite for RefreshSession {
    fn run(&self, connection: &Connection) -> Result<Refreshed, StoreError> {
        let Some((pk, presented)) = presented(connection, self)? else { return Ok(Refreshed::Refused) };
        match self.judge(presented) {
            Judged::Refused => Ok(Refreshed::Refused),
            Judged::Reused(Session { id, user_id, .. }) => {
                connection.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([id.0.as_bytes()])?;
                let target = session_target(id);
                let event = Event { user: Some((pk, &user_id)), target: &target, reason: REUSED, ..Event::default() };
                log_event(connection, Action::SessionRevoked, &event, &self.meta)?;
                Ok(Refreshed::Reused { user_id, id })
            }
            Judged::Renewed(session, generation) => {
                write(connection, &session, generation, &self.used.next_hash)?;
                Ok(Refreshed::Renewed(session))
            }
        }
    }
}

fn write(connection: &Connection, session: &Session, generation: u32, hash: &[u8; 32]) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE sessions SET generation = ?2, refresh_hash = ?3, last_used_at = ?4, expires_at = ?5,
                                 remote_address = ?6
             WHERE id = ?1",
        )?
        .execute(params![
            session.id.0.as_bytes(),
            generation,
            hash,
            session.last_used_at,
            session.expires_at,
            session.remote_address,
        ])?;
    Ok(())
}

/// The session, with its user's row, if it has not ended and the user is active.
fn presented(connection: &Connection, command: &RefreshSession) -> Result<Option<(i64, Presented)>, StoreError> {
    let id = command.used.id;
    Ok(connection
        .prepare_cached(
            "SELECT u.pk, u.id, s.device, s.remote_address, s.created_at, s.last_used_at, s.expires_at,
                    s.generation, s.refresh_hash
             FROM sessions s JOIN users u ON u.pk = s.user_pk
             WHERE s.id = ?1 AND s.expires_at > ?2 AND u.status = ?3",
        )?
        .query_row(params![id.0.as_bytes(), command.meta.at, UserStatus::Active as i64], |row| {
            Ok((row.get(0)?, presented_from_row(row, id)?))
        })
        .optional()?)
}

fn presented_from_row(row: &Row<'_>, id: SessionId) -> rusqlite::Result<Presented> {
    let session = Session {
        id,
        user_id: row.get(1)?,
        device: row.get(2)?,
        remote_address: row.get(3)?,
        created_at: row.get(4)?,
        last_used_at: row.get(5)?,
        expires_at: row.get(6)?,
    };
    Ok(Presented { session, generation: row.get(7)?, hash: row.get(8)? })
}
