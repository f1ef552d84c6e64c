//! Uses up a one-time token for what it was mailed for.

use super::{Command, current_user, log_change, set_password::write_password};
use crate::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, MailKind, User, UserId, UserStatus, text},
    store::{
        Ended, StoreError, StoredUser,
        answers::Kept,
        postgres::{tx::Tx, value::params},
    },
};

/// See [`crate::store::MailStore::verify_email`] and [`crate::store::MailStore::reset_password`].
pub(in crate::store::postgres) struct UseToken {
    pub(in crate::store::postgres) id: UserId,
    pub(in crate::store::postgres) hash: [u8; 32],
    /// With a password the token is one that resets it; else one that verifies the address.
    pub(in crate::store::postgres) password: Option<PasswordHash>,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for UseToken {
    type Output = StoredUser;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<StoredUser, StoreError> {
        let (pk, user, stored) = current_user(tx, &self.id).await?;
        if user.status != UserStatus::Active || !self.take(tx, (pk, &user)).await? {
            return Err(StoreError::NotFound);
        }
        if let Some(password) = &self.password {
            write_password(tx, (pk, &user, &stored), password, &self.meta)?;
        }
        // A reset shows that the address is the user's as well as a verification does.
        if user.email_verified { Ok(stored) } else { mark_verified(tx, (pk, user, &stored), &self.meta) }
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
}

impl UseToken {
    /// Whether the token stood. It does so no more.
    async fn take(&self, tx: &mut Tx<'_>, (pk, user): (i64, &User)) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM one_time_tokens
             WHERE user_pk = $1 AND kind = $2 AND hash = $3 AND email_key = $4 AND expires_at > $5";
        let kind = if self.password.is_some() { MailKind::PasswordReset } else { MailKind::Verification };
        let key = text::unique_key(&user.email);
        Ok(tx.affected(SQL, params![pk, kind as i64, self.hash, key, self.meta.at]).await? == 1)
    }
}

fn mark_verified(
    tx: &mut Tx<'_>,
    (pk, user, before): (i64, User, &StoredUser),
    meta: &ChangeMeta,
) -> Result<StoredUser, StoreError> {
    let user =
        User { email_verified: true, revision: user.revision + 1, updated_at: meta.at.max(user.updated_at), ..user };
    let stored = StoredUser::of(&user);
    tx.queue(
        "UPDATE users SET email_verified = TRUE, updated_at = $2, revision = $3, message = $4 WHERE pk = $1",
        params![pk, user.updated_at, user.revision, &stored],
    );
    log_change(tx, Action::EmailVerified, &user, (Some(before), Some(&stored)), &["email_verified"], meta)?;
    Ok(stored)
}
