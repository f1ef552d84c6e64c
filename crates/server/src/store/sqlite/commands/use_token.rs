//! Uses up a one-time token for what it was mailed for.

use rusqlite::{Connection, params};

use super::{current_user, log_change, set_password::write_password};
use crate::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, MailKind, User, UserId, UserStatus, text},
    store::{
        Ended, StoreError, StoredUser,
        answers::Kept,
        sqlite::writer::{Command, ShowUser},
    },
};

/// See [`crate::store::MailStore::verify_email`] and [`crate::store::MailStore::reset_password`].
pub(in crate::store::sqlite) struct UseToken {
    pub(in crate::store::sqlite) id: UserId,
    pub(in crate::store::sqlite) hash: [u8; 32],
    /// With a password the token is one that resets it; else one that verifies the address.
    pub(in crate::store::sqlite) password: Option<PasswordHash>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for UseToken {
    type Output = StoredUser;

    fn run(&self, connection: &Connection) -> Result<StoredUser, StoreError> {
        let kind = if self.password.is_some() { MailKind::PasswordReset } else { MailKind::Verification };
        let (pk, user, stored) = current_user(connection, &self.id)?;
        if user.status != UserStatus::Active || !take(connection, (pk, &user), kind, &self.hash, &self.meta)? {
            return Err(StoreError::NotFound);
        }
        if let Some(password) = &self.password {
            write_password(connection, (pk, &user, &stored), password, &self.meta)?;
        }
        // A reset shows that the address is the user's as well as a verification does.
        if user.email_verified { Ok(stored) } else { mark_verified(connection, (pk, user, &stored), &self.meta) }
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, user: &StoredUser) -> Result<Option<Kept>, StoreError> {
        if self.password.is_some() { Kept::of(&()) } else { Kept::about(&self.id, user) }
    }

    fn ends(&self, _: &StoredUser) -> Vec<Ended> {
        let resets = self.password.is_some();
        resets.then(|| Ended::SessionsOf { user_id: self.id.clone(), except: None }).into_iter().collect()
    }

    fn show_users<'a>(&'a self, user: &'a StoredUser, show: &mut ShowUser<'_, 'a>) {
        show(&self.id, Some(user));
    }
}

/// Whether the token stood. It does so no more.
fn take(
    connection: &Connection,
    (pk, user): (i64, &User),
    kind: MailKind,
    hash: &[u8; 32],
    meta: &ChangeMeta,
) -> Result<bool, StoreError> {
    let taken = connection
        .prepare_cached(
            "DELETE FROM one_time_tokens
             WHERE user_pk = ?1 AND kind = ?2 AND hash = ?3 AND email_key = ?4 AND expires_at > ?5",
        )?
        .execute(params![pk, kind as i64, hash, text::unique_key(&user.email), meta.at])?;
    Ok(taken == 1)
}

fn mark_verified(
    connection: &Connection,
    (pk, user, before): (i64, User, &StoredUser),
    meta: &ChangeMeta,
) -> Result<StoredUser, StoreError> {
    let user =
        User { email_verified: true, revision: user.revision + 1, updated_at: meta.at.max(user.updated_at), ..user };
    let stored = StoredUser::of(&user);
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
