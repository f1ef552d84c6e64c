//! Deactivates or reactivates a user.

use rusqlite::{Connection, params};

use super::{change_user::Change, delete_sessions, keep_an_admin, log_change};
use crate::{
    model::{ChangeMeta, User, UserStatus},
    store::{
        StoreError, StoredUser,
        commands::{UserAfter, with_status},
    },
};

impl Change for UserStatus {
    fn apply(
        &self,
        connection: &Connection,
        (pk, before, stored): (i64, User, StoredUser),
        meta: &ChangeMeta,
    ) -> Result<UserAfter, StoreError> {
        if before.status == *self {
            return Ok(UserAfter { user: stored, ends_grants: false });
        }
        keep_an_admin(connection, (pk, &before), Some(&User { status: *self, ..before.clone() }), meta)?;
        let user = write_status(connection, (pk, &before, &stored), *self, meta)?.1;
        Ok(UserAfter { user, ends_grants: true })
    }
}

/// Sets a status that is another than the user's, and ends its sessions if it may not sign in any more. Gives the user after
/// it.
pub(super) fn write_status(
    connection: &Connection,
    (pk, before, stored_before): (i64, &User, &StoredUser),
    status: UserStatus,
    meta: &ChangeMeta,
) -> Result<(User, StoredUser), StoreError> {
    let (user, stored, action) = with_status(before, status, meta.at);
    connection
        .prepare_cached("UPDATE users SET status = ?2, updated_at = ?3, revision = ?4, message = ?5 WHERE id = ?1")?
        .execute(params![user.id, user.status as i64, user.updated_at, user.revision, stored])?;
    if status == UserStatus::Inactive {
        // Whoever is made active again signs in anew.
        delete_sessions(connection, pk)?;
    }
    log_change(connection, action, (pk, &user), (Some(stored_before), Some(&stored)), &["status"], meta)?;
    Ok((user, stored))
}
