//! Sets a user's password and ends all of the user's sessions.

use super::{Command, delete_sessions, log_change, ruled_user};
use crate::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, MailKind, User, UserId},
    store::{
        Ended, StoreError, StoredUser,
        answers::Kept,
        postgres::{row::column, tx::Tx, value::params},
    },
};

/// See [`crate::store::SessionStore::set_password`].
pub(in crate::store::postgres) struct SetPassword {
    pub(in crate::store::postgres) user_id: UserId,
    pub(in crate::store::postgres) hash: PasswordHash,
    pub(in crate::store::postgres) verified: Option<PasswordHash>,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for SetPassword {
    type Output = ();

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

    fn ends(&self, _: &()) -> Vec<Ended> {
        vec![Ended::SessionsOf { user_id: self.user_id.clone(), except: None }]
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, set: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(set)
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
