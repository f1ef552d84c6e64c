//! Deactivates or reactivates a user.

use super::{change_user::Change, delete_sessions, keep_an_admin, log_change};
use crate::{
    model::{ChangeMeta, User, UserStatus},
    store::{
        StoreError, StoredUser,
        commands::{UserAfter, with_status},
        postgres::{tx::Tx, value::params},
    },
};

impl Change for UserStatus {
    async fn apply(
        &self,
        tx: &mut Tx<'_>,
        (pk, before, stored): (i64, User, StoredUser),
        meta: &ChangeMeta,
    ) -> Result<UserAfter, StoreError> {
        if before.status == *self {
            return Ok(UserAfter { user: stored, ends_grants: false });
        }
        keep_an_admin(tx, (pk, &before), Some(&User { status: *self, ..before.clone() }), meta).await?;
        let user = write_status(tx, (pk, &before, &stored), *self, meta)?.1;
        Ok(UserAfter { user, ends_grants: true })
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
    let (user, stored, action) = with_status(before, status, meta.at);
    const SQL: &str = "UPDATE users SET status = $2, updated_at = $3, revision = $4, message = $5 WHERE pk = $1";
    tx.queue(SQL, params![pk, user.status as i64, user.updated_at, user.revision, &stored]);
    if status == UserStatus::Inactive {
        // Whoever is made active again signs in anew.
        delete_sessions(tx, pk);
    }
    log_change(tx, action, &user, (Some(stored_before), Some(&stored)), &["status"], meta)?;
    Ok((user, stored))
}
