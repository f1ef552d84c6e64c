//! Users as a rehearsal of an import looks them up.

use rusqlite::{Connection, OptionalExtension as _, ToSql};

use super::import_users::Change;
use crate::{
    model::UserId,
    store::{
        ImportBatch, ImportUser, RowFailure, StoreError,
        import::{ImportChange, Present},
    },
};

impl Present for Connection {
    fn with_id(&self, id: &UserId) -> Result<Option<UserId>, StoreError> {
        find(self, "SELECT id FROM users WHERE id = ?1", id)
    }

    fn with_email(&self, key: &str) -> Result<Option<UserId>, StoreError> {
        find(self, "SELECT id FROM users WHERE email_key = ?1", &key)
    }

    fn with_username(&self, key: &str) -> Result<Option<UserId>, StoreError> {
        find(self, "SELECT id FROM users WHERE username_key = ?1", &key)
    }

    fn plan(
        &self,
        batch: &ImportBatch,
        row: &ImportUser,
        id: &UserId,
    ) -> Result<Result<ImportChange, RowFailure>, StoreError> {
        Ok(Change::plan(self, batch, row, id)?.map(|planned| planned.change))
    }
}

fn find(connection: &Connection, sql: &str, key: &dyn ToSql) -> Result<Option<UserId>, StoreError> {
    Ok(connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?)
}
