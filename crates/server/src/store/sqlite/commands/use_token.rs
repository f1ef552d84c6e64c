//! Uses up a one-time token for what it was mailed for.

use rusqlite::{Connection, params};

use super::{current_user, log_change, set_password::write_password};
use crate::{
    model::{Action, ChangeMeta, User, UserStatus, text},
    store::{
        StoreError, StoredUser,
        commands::{UseToken, verified},
        sqlite::writer::RunInSqlite,
    },
};

impl RunInSqlite for UseToken {
    fn run(&self, connection: &Connection) -> Result<StoredUser, StoreError> {
        let (pk, user, stored) = current_user(connection, &self.id)?;
        if user.status != UserStatus::Active || !take(connection, (pk, &user), self)? {
            return Err(StoreError::NotFound);
        }
        if let Some(password) = &self.password {
            write_password(connection, (pk, &user, &stored), password, &self.meta)?;
        }
        // A reset shows that the address is the user's as well as a verification does.
        if user.email_verified { Ok(stored) } else { mark_verified(connection, (pk, user, &stored), &self.meta) }
    }
}

/// Whether the token stood. It does so no more.
fn take(connection: &Connection, (pk, user): (i64, &User), command: &UseToken) -> Result<bool, StoreError> {
    let UseToken { hash, meta, .. } = command;
    let taken = connection
        .prepare_cached(
            "DELETE FROM one_time_tokens
             WHERE user_pk = ?1 AND kind = ?2 AND hash = ?3 AND email_key = ?4 AND expires_at > ?5",
        )?
        .execute(params![pk, command.kind() as i64, hash, text::unique_key(&user.email), meta.at])?;
    Ok(taken == 1)
}

fn mark_verified(
    connection: &Connection,
    (pk, user, before): (i64, User, &StoredUser),
    meta: &ChangeMeta,
) -> Result<StoredUser, StoreError> {
    let (user, stored) = verified(user, meta.at);
    connection
        .prepare_cached(
            "UPDATE users SET email_verified = TRUE, updated_at = ?2, revision = ?3, message = ?4 WHERE pk = ?1",
        )?
        .execute(params![pk, user.updated_at, user.revision, stored])?;
    log_change(
        connection,
        Action::EmailVerified,
        (pk, &user),
        (Some(before), Some(&stored)),
        &["email_verified"],
        meta,
    )?;
    Ok(stored)
}
