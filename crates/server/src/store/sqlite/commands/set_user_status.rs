//! Deactivates or reactivates a user.

use rusqlite::{Connection, params};

use super::{current_user, delete_sessions, keep_an_admin, log_change};
use crate::{
    model::{Action, ChangeMeta, User, UserId, UserStatus},
    store::{Ended, StoreError, StoredUser, sqlite::writer::Command},
};

/// See [`crate::store::Store::set_user_status`].
pub(in crate::store::sqlite) struct SetUserStatus {
    pub(in crate::store::sqlite) id: UserId,
    pub(in crate::store::sqlite) status: UserStatus,
    pub(in crate::store::sqlite) etag: Option<String>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for SetUserStatus {
    type Output = StoredUser;

    fn run(&self, connection: &Connection) -> Result<StoredUser, StoreError> {
        let (pk, before, stored) = current_user(connection, &self.id, self.etag.as_deref())?;
        if before.status == self.status {
            return Ok(stored);
        }
        let user = User {
            status: self.status,
            revision: before.revision + 1,
            updated_at: self.meta.at.max(before.updated_at),
            ..before.clone()
        };
        keep_an_admin(connection, &before, Some(&user), &self.meta)?;
        let stored = StoredUser::of(&user);
        connection
            .prepare_cached("UPDATE users SET status = ?2, updated_at = ?3, revision = ?4, message = ?5 WHERE id = ?1")?
            .execute(params![user.id, user.status as i64, user.updated_at, user.revision, stored])?;
        let action = match self.status {
            UserStatus::Active => Action::Reactivated,
            UserStatus::Inactive => Action::Deactivated,
        };
        if self.status == UserStatus::Inactive {
            // Whoever is made active again signs in anew.
            delete_sessions(connection, pk)?;
        }
        log_change(connection, action, (pk, &user), Some(&stored), &["status"], &self.meta)?;
        Ok(stored)
    }

    fn ends(&self, _: &StoredUser) -> Vec<Ended> {
        vec![Ended::User(self.id.clone())]
    }

    fn keep(&self) -> bool {
        !self.meta.validate_only
    }

    fn touches(&self) -> Option<&UserId> {
        Some(&self.id)
    }

    fn user_after(user: &StoredUser) -> Option<&StoredUser> {
        Some(user)
    }
}
