//! Sets a user's password and ends all of the user's sessions.

use super::{RunInPostgres, delete_sessions, log_change, ruled_user};
use crate::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, MailKind, User},
    store::{
        StoreError, StoredUser,
        commands::SetPassword,
        postgres::{row::column, tx::Tx, value::params},
    },
};

impl RunInPostgres for SetPassword {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let (pk, user, stored) = ruled_user(tx, &self.user_id, None, &self.meta).await?;
        if let Some(verified) = &self.verified {
            let row = tx.row("SELECT password_hash FROM credentials WHERE user_pk = $1", params![pk]).await?;
            let current: Option<String> = row.map(|row| column(&row, 0)).transpose()?;
            if current.as_deref() != Some(verified.as_str()) {
                return Err(StoreError::Stale);
            }
        }
        write_password(tx, (pk, &user, &stored), &self.hash, &self.meta)
    }
}

/// Whatever sets a password does this, and ends the grants of the user's sessions.
pub(super) fn write_password(
    tx: &mut Tx<'_>,
    (pk, user, stored): (i64, &User, &StoredUser),
    hash: &PasswordHash,
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    tx.queue(
        "INSERT INTO credentials (user_pk, password_hash) VALUES ($1, $2)
         ON CONFLICT (user_pk) DO UPDATE SET password_hash = excluded.password_hash",
        params![pk, hash.as_str()],
    );
    // A link that is on its way would set yet another one.
    const END_RESETS: &str = "DELETE FROM one_time_tokens WHERE user_pk = $1 AND kind = $2";
    tx.queue(END_RESETS, params![pk, MailKind::PasswordReset as i64]);
    delete_sessions(tx, pk);
    // No field of the user shows it, so the revision stays.
    log_change(tx, Action::PasswordChanged, user, (Some(stored), Some(stored)), &[], meta)
}
