//! Sets a user's password and ends all of the user's sessions.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{delete_sessions, log_change, ruled_user};
use crate::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, MailKind, User},
    store::{StoreError, StoredUser, commands::SetPassword, sqlite::writer::RunInSqlite},
};

impl RunInSqlite for SetPassword {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let (pk, user, stored) = ruled_user(connection, &self.user_id, None, &self.meta)?;
        if let Some(verified) = &self.verified {
            let stored: Option<String> = connection
                .prepare_cached("SELECT password_hash FROM credentials WHERE user_pk = ?1")?
                .query_row([pk], |row| row.get(0))
                .optional()?;
            if stored.as_deref() != Some(verified.as_str()) {
                return Err(StoreError::Stale);
            }
        }
        write_password(connection, (pk, &user, &stored), &self.hash, &self.meta)
    }
}

/// Whatever sets a password does this, and ends the grants of the user's sessions.
pub(super) fn write_password(
    connection: &Connection,
    (pk, user, stored): (i64, &User, &StoredUser),
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
    // No field of the user shows it, so the revision stays.
    log_change(connection, Action::PasswordChanged, (pk, user), (Some(stored), Some(stored)), &[], meta)
}
