//! Removes answers that need not be kept any more.

use rusqlite::{Connection, params};

use crate::store::{StoreError, commands::PurgeAnswers, sqlite::writer::RunInSqlite};

impl RunInSqlite for PurgeAnswers {
    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let purged = connection
            .prepare_cached("DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE expires_at <= ?1 LIMIT ?2)")?
            .execute(params![self.now, self.limit])?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}
