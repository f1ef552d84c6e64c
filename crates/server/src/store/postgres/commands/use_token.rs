//! Uses up a one-time token for what it was mailed for.

use super::{RunInPostgres, current_user, log_change, set_password::write_password};
use crate::{
    model::{Action, ChangeMeta, User, UserStatus, text},
    store::{
        StoreError, StoredUser,
        commands::{UseToken, verified},
        postgres::{tx::Tx, value::params},
    },
};

impl RunInPostgres for UseToken {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<StoredUser, StoreError> {
        let (pk, user, stored) = current_user(tx, &self.id).await?;
        if user.status != UserStatus::Active || !take(tx, (pk, &user), self).await? {
            return Err(StoreError::NotFound);
        }
        if let Some(password) = &self.password {
            write_password(tx, (pk, &user, &stored), password, &self.meta)?;
        }
        // A reset shows that the address is the user's as well as a verification does.
        if user.email_verified { Ok(stored) } else { mark_verified(tx, (pk, user, &stored), &self.meta) }
    }
}

/// Whether the token stood. It does so no more.
async fn take(tx: &mut Tx<'_>, (pk, user): (i64, &User), command: &UseToken) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM one_time_tokens
         WHERE user_pk = $1 AND kind = $2 AND hash = $3 AND email_key = $4 AND expires_at > $5";
    let key = text::unique_key(&user.email);
    Ok(tx.affected(SQL, params![pk, command.kind() as i64, command.hash, key, command.meta.at]).await? == 1)
}

fn mark_verified(
    tx: &mut Tx<'_>,
    (pk, user, before): (i64, User, &StoredUser),
    meta: &ChangeMeta,
) -> Result<StoredUser, StoreError> {
    let (user, stored) = verified(user, meta.at);
    tx.queue(
        "UPDATE users SET email_verified = TRUE, updated_at = $2, revision = $3, message = $4 WHERE pk = $1",
        params![pk, user.updated_at, user.revision, &stored],
    );
    log_change(tx, Action::EmailVerified, &user, (Some(before), Some(&stored)), &["email_verified"], meta)?;
    Ok(stored)
}
