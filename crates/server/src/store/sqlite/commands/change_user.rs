//! What every command has in common that changes a user who is there: whom, if they are still as the caller last saw
//! them, and what follows from it for their grants.

use rusqlite::Connection;

use super::ruled_user;
use crate::{
    model::{ChangeMeta, User, UserId},
    store::{
        Ended, StoreError, StoredUser,
        answers::Kept,
        sqlite::writer::{Command, ShowUser},
    },
};

/// See [`crate::store::Store::update_user`] and [`set_user_status`](crate::store::Store::set_user_status).
pub(in crate::store::sqlite) struct ChangeUser<C> {
    pub(in crate::store::sqlite) id: UserId,
    pub(in crate::store::sqlite) change: C,
    pub(in crate::store::sqlite) etag: Option<String>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

/// What is changed.
pub(in crate::store::sqlite) trait Change: Send + 'static {
    /// Changes the user: its row, the user as it is, and the same stored.
    fn apply(
        &self,
        connection: &Connection,
        before: (i64, User, StoredUser),
        meta: &ChangeMeta,
    ) -> Result<UserAfter, StoreError>;
}

/// A user after a command that may have changed what their grants are good for.
pub(in crate::store::sqlite) struct UserAfter {
    pub(in crate::store::sqlite) user: StoredUser,
    /// Whether it has.
    pub(super) ends_grants: bool,
}

impl<C: Change> Command for ChangeUser<C> {
    type Output = UserAfter;

    fn run(&self, connection: &Connection) -> Result<UserAfter, StoreError> {
        let before = ruled_user(connection, &self.id, self.etag.as_deref(), &self.meta)?;
        self.change.apply(connection, before, &self.meta)
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

    fn show_users<'a>(&'a self, after: &'a UserAfter, show: &mut ShowUser<'_, 'a>) {
        show(&self.id, Some(&after.user));
    }
}
