//! Deactivates or reactivates a user.

use super::{Command, UserAfter, delete_sessions, keep_an_admin, log_change, ruled_user};
use crate::{
    model::{Action, ChangeMeta, User, UserId, UserStatus},
    store::{
        Ended, StoreError, StoredUser,
        answers::Kept,
        postgres::{tx::Tx, value::params},
    },
};

/// See [`crate::store::Store::set_user_status`].
pub(in crate::store::postgres) struct SetUserStatus {
    pub(in crate::store::postgres) id: UserId,
    pub(in crate::store::postgres) status: UserStatus,
    pub(in crate::store::postgres) etag: Option<String>,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for SetUserStatus {
    type Output = UserAfter;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<UserAfter, StoreError> {
        let (pk, before, stored_before) = ruled_user(tx, &self.id, self.etag.as_deref(), &self.meta).await?;
        if before.status == self.status {
            return Ok(UserAfter { user: stored_before, ends_grants: false });
        }
        let after = User { status: self.status, ..before.clone() };
        keep_an_admin(tx, (pk, &before), Some(&after), &self.meta).await?;
        let user = write_status(tx, (pk, &before, &stored_before), self.status, &self.meta)?.1;
        Ok(UserAfter { user, ends_grants: true })
    }

    fn ends(&self, after: &UserAfter) -> Vec<Ended> {
        after.ends_grants.then(|| Ended::User(self.id.clone())).into_iter().collect()
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, after: &UserAfter) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.id, &after.user)
    }
}

/// Sets a status that is another than the user's, and ends its sessions if it may not sign in any more. Gives the user after
/// it.
pub(super) fn write_status(
    tx: &mut Tx<'_>,
    (pk, before, stored_before): (i64, &User, &StoredUser),
    status: UserStatus,
    meta: &ChangeMeta,
) -> Result<(User, StoredUser), StoreError> {
    let updated_at = meta.at.max(before.updated_at);
    let user = User { status, revision: before.revision + 1, updated_at, ..before.clone() };
    let stored = StoredUser::of(&user);
    const SQL: &str = "UPDATE users SET status = $2, updated_at = $3, revision = $4, message = $5 WHERE pk = $1";
    tx.queue(SQL, params![pk, user.status as i64, user.updated_at, user.revision, &stored]);
    let action = match status {
        UserStatus::Active => Action::Reactivated,
        UserStatus::Inactive => Action::Deactivated,
    };
    if status == UserStatus::Inactive {
        // Whoever is made active again signs in anew.
        delete_sessions(tx, pk);
    }
    log_change(tx, action, &user, (Some(stored_before), Some(&stored)), &["status"], meta)?;
    Ok((user, stored))
}
