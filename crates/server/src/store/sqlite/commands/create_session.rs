//! Begins a session, with the hash of the password that was made anew on the way.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Event, log_event, session_target};
use crate::{
    model::{Action, ChangeMeta, UserStatus},
    store::{NewSession, StoreError, sqlite::writer::Command},
};

/// See [`crate::store::SessionStore::create_session`].
pub(in crate::store::sqlite) struct CreateSession {
    pub(in crate::store::sqlite) new: NewSession,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for CreateSession {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let NewSession { session, refresh_hash, verified, rehashed } = &self.new;
        let (pk, hash) = active_user(connection, self)?;
        if hash.as_deref() != Some(verified.as_str()) {
            return Err(StoreError::Stale);
        }
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
        let event =
            Event { user: Some((pk, &session.user_id)), target: &session_target(session.id), ..Event::default() };
        log_event(connection, Action::SignedIn, &event, &self.meta)
    }

    fn keep(&self) -> bool {
        !self.meta.validate_only
    }
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
