//! Removes a user for good: the row, what hangs on it, and its personal data in the change log.

use rusqlite::{Connection, params};

use super::{current_user, log_change};
use crate::{
    model::{Action, ChangeMeta, UserId},
    store::{Ended, StoreError, sqlite::writer::Command},
};

/// See [`crate::store::Store::delete_user`].
pub(in crate::store::sqlite) struct DeleteUser {
    pub(in crate::store::sqlite) id: UserId,
    pub(in crate::store::sqlite) etag: Option<String>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for DeleteUser {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let (pk, mut user, _) = current_user(connection, &self.id, self.etag.as_deref())?;
        // Credentials go with the row; the search index follows the change log.
        connection.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([&self.id])?;
        // That something happened, and when, stays; what the person was called does not.
        connection
            .prepare_cached("UPDATE changes SET after = NULL WHERE user_id = ?1 AND after IS NOT NULL")?
            .execute(params![self.id])?;
        user.revision += 1;
        log_change(connection, Action::Deleted, (pk, &user), None, &[], &self.meta)
    }

    fn ends(&self, _: &()) -> Vec<Ended> {
        vec![Ended::User(self.id.clone())]
    }

    fn keep(&self) -> bool {
        !self.meta.validate_only
    }

    fn touches(&self) -> Option<&UserId> {
        Some(&self.id)
    }
}
