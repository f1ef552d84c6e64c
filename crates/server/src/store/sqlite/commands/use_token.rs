//! Uses up a one-time token for what it was mailed for.

use rusqlite::{Connection, params};

use super::{Event, current_user, log_change, log_event};
use crate::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, MailKind, User, UserId, UserStatus, text},
    store::{Ended, StoreError, StoredUser, sqlite::writer::Command},
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
        let (pk, mut user, stored) = current_user(connection, &self.id, None)?;
        if user.status != UserStatus::Active || !take(connection, (pk, &user), kind, &self.hash, &self.meta)? {
            return Err(StoreError::NotFound);
        }
        if let Some(password) = &self.password {
            set_password(connection, pk, password)?;
            let event = Event { user: Some((pk, &user.id)), ..Event::default() };
            log_event(connection, Action::PasswordChanged, &event, &self.meta)?;
        }
        // A reset shows that the address is the user's as well as a verification does.
        Ok(mark_verified(connection, pk, &mut user, &self.meta)?.unwrap_or(stored))
    }

    fn touches(&self) -> Option<&UserId> {
        Some(&self.id)
    }

    fn ends(&self, _: &StoredUser) -> Vec<Ended> {
        let resets = self.password.is_some();
        resets.then(|| Ended::SessionsOf { user_id: self.id.clone(), except: None }).into_iter().collect()
    }

    fn user_after(user: &StoredUser) -> Option<&StoredUser> {
        Some(user)
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

fn set_password(connection: &Connection, pk: i64, password: &PasswordHash) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO credentials (user_pk, password_hash) VALUES (?1, ?2)
             ON CONFLICT (user_pk) DO UPDATE SET password_hash = excluded.password_hash",
        )?
        .execute(params![pk, password.as_str()])?;
    connection.prepare_cached("DELETE FROM sessions WHERE user_pk = ?1")?.execute([pk])?;
    Ok(())
}

/// The user after it; `None` if the address was verified already.
fn mark_verified(
    connection: &Connection,
    pk: i64,
    user: &mut User,
    meta: &ChangeMeta,
) -> Result<Option<StoredUser>, StoreError> {
    if user.email_verified {
        return Ok(None);
    }
    user.email_verified = true;
    user.revision += 1;
    user.updated_at = meta.at.max(user.updated_at);
    let stored = StoredUser::of(user);
    connection
        .prepare_cached(
            "UPDATE users SET email_verified = TRUE, updated_at = ?2, revision = ?3, message = ?4 WHERE pk = ?1",
        )?
        .execute(params![pk, user.updated_at, user.revision, stored])?;
    log_change(connection, Action::EmailVerified, (pk, user), Some(&stored), &["email_verified"], meta)?;
    Ok(Some(stored))
}
