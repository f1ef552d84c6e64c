//! Begins a session, with the hash of the password that was made anew on the way.

use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::{Event, log_event};
use crate::{
    model::{Action, SessionId, UserStatus},
    store::{
        NewSession, StoreError,
        commands::{CreateSession, session_target},
        sessions::SESSIONS_MAX,
        sqlite::writer::RunInSqlite,
    },
};

impl RunInSqlite for CreateSession {
    fn run(&self, connection: &Connection) -> Result<Vec<SessionId>, StoreError> {
        let NewSession { session, refresh_hash, verified, rehashed } = &self.new;
        let (pk, hash) = active_user(connection, self)?;
        if hash.as_deref() != Some(verified.as_str()) {
            return Err(StoreError::Stale);
        }
        let ended = make_room(connection, pk)?;
        connection
            .prepare_cached(
                "INSERT INTO sessions (id, user_pk, device, remote_address, created_at, last_used_at, expires_at,
                                       generation, refresh_hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)",
            )?
            .execute(params![
                session.id.0.as_bytes(),
                pk,
                session.device,
                session.remote_address,
                session.created_at,
                session.last_used_at,
                session.expires_at,
                refresh_hash,
            ])?;
        if let Some(rehashed) = rehashed {
            connection
                .prepare_cached("UPDATE credentials SET password_hash = ?2 WHERE user_pk = ?1")?
                .execute(params![pk, rehashed.as_str()])?;
        }
        let log = |action, id| {
            let event = Event { user: Some((pk, &session.user_id)), target: &session_target(id), ..Event::default() };
            log_event(connection, action, &event, &self.meta)
        };
        ended.iter().try_for_each(|id| log(Action::SessionRevoked, *id))?;
        log(Action::SignedIn, session.id)?;
        Ok(ended)
    }
}

/// Ends the sessions that were not used for longest, if there is no room for one more.
fn make_room(connection: &Connection, pk: i64) -> Result<Vec<SessionId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE user_pk = ?1 ORDER BY last_used_at DESC, id DESC LIMIT -1 OFFSET ?2)
         RETURNING id",
    )?;
    let ended = statement.query_map(params![pk, SESSIONS_MAX - 1], |row| row.get::<_, [u8; 16]>(0))?;
    Ok(ended.map(|id| id.map(|id| SessionId(Uuid::from_bytes(id)))).collect::<Result<_, _>>()?)
}

/// The row of the user, and what the user signs in with.
fn active_user(connection: &Connection, command: &CreateSession) -> Result<(i64, Option<String>), StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT u.pk, c.password_hash FROM users u LEFT JOIN credentials c ON c.user_pk = u.pk
             WHERE u.id = ?1 AND u.status = ?2",
        )?
        .query_row(params![command.new.session.user_id, UserStatus::Active as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    found.ok_or(StoreError::NotFound)
}
