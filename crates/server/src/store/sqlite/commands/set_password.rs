//! Sets a user's password and ends all of the user's sessions.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Event, delete_sessions, log_event, user_pk};
use crate::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, MailKind, UserId},
    store::{Ended, StoreError, sqlite::writer::Command},
};

/// See [`crate::store::SessionStore::set_password`].
pub(in crate::store::sqlite) struct SetPassword {
    pub(in crate::store::sqlite) user_id: UserId,
    pub(in crate::store::sqlite) hash: PasswordHash,
    pub(in crate::store::sqlite) verified: Option<PasswordHash>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for SetPassword {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let pk = user_pk(connection, &self.user_id)?.ok_or(StoreError::NotFound)?;
        if let Some(verified) = &self.verified {
            let stored: Option<String> = connection
                .prepare_cached("SELECT password_hash FROM credentials WHERE user_pk = ?1")?
                .query_row([pk], |row| row.get(0))
                .optional()?;
            if stored.as_deref() != Some(verified.as_str()) {
                return Err(StoreError::Stale);
            }
        }
        write_password(connection, (pk, &self.user_id), &self.hash, &self.meta)
    }

    fn ends(&self, _: &()) -> Vec<Ended> {
        vec![Ended::SessionsOf { user_id: self.user_id.clone(), except: None }]
    }

    fn keep(&self) -> bool {
        !self.meta.validate_only
    }
}

/// Whatever sets a password does this, and ends the grants of the user's sessions.
pub(super) fn write_password(
    connection: &Connection,
    (pk, user_id): (i64, &UserId),
    hash: &PasswordHash,
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO credentials (user_pk, password_hash) VALUES (?1, ?2)
             ON CONFLICT (user_pk) DO UPDATE SET password_hash = excluded.password_hash",
        )?
        .execute(params![pk, hash.as_str()])?;
    // A link that is on its way would set yet another one.
    connection
        .prepare_cached("DELETE FROM one_time_tokens WHERE user_pk = ?1 AND kind = ?2")?
        .execute(params![pk, MailKind::PasswordReset as i64])?;
    delete_sessions(connection, pk)?;
    log_event(connection, Action::PasswordChanged, &Event { user: Some((pk, user_id)), ..Event::default() }, meta)
}
