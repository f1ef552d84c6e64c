//! What every command has in common that changes a user who is there: whom, and if they are still as the caller last saw
//! them.

use rusqlite::Connection;

use super::ruled_user;
use crate::{
    model::{ChangeMeta, User},
    store::{
        StoreError, StoredUser,
        commands::{ChangeUser, UserAfter},
        sqlite::writer::RunInSqlite,
    },
};

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

impl<C: Change> RunInSqlite for ChangeUser<C> {
    fn run(&self, connection: &Connection) -> Result<UserAfter, StoreError> {
        let before = ruled_user(connection, &self.id, self.etag.as_deref(), &self.meta)?;
        self.change.apply(connection, before, &self.meta)
    }
}
