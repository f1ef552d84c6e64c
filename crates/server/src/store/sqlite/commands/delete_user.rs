//! Removes a user for good: the row, what hangs on it, and its personal data in the change log.

use rusqlite::{Connection, params};

use super::{keep_an_admin, log_change, ruled_user};
use crate::{
    model::{Action, Actor, UserId},
    store::{
        StoreError,
        commands::DeleteUser,
        sqlite::{answers, writer::RunInSqlite},
    },
};

impl RunInSqlite for DeleteUser {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let (pk, mut user, _) = ruled_user(connection, &self.id, self.etag.as_deref(), &self.meta)?;
        keep_an_admin(connection, (pk, &user), None, &self.meta)?;
        // Whoever gets this id later did not make these.
        connection.prepare_cached("DELETE FROM api_keys WHERE created_by = ?1")?.execute([&self.id])?;
        // Credentials go with the row; the search index follows the change log.
        connection.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([&self.id])?;
        // That something happened, and when, stays; what the person was called does not.
        connection
            .prepare_cached("UPDATE changes SET before = NULL, after = NULL WHERE user_id = ?1 AND after IS NOT NULL")?
            .execute(params![self.id])?;
        answers::forget(connection, &self.id)?;
        forget_addresses(connection, &self.id)?;
        user.revision += 1;
        log_change(connection, Action::Deleted, (pk, &user), (None, None), &[], &self.kept_meta())
    }
}

/// Takes the person's IP addresses out of the log: of what was done to the user, where the sign-up of nobody is found,
/// and of what the user did to others.
fn forget_addresses(connection: &Connection, id: &UserId) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE changes SET remote_address = '' WHERE user_id = ?1 AND remote_address <> ''")?
        .execute([id])?;
    connection
        .prepare_cached(
            "UPDATE changes SET remote_address = '' WHERE actor = ?1 AND by_another = 1 AND remote_address <> ''",
        )?
        .execute([Actor::User(id.clone()).to_string()])?;
    Ok(())
}
