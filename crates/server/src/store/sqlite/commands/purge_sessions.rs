//! Removes sessions that have ended by themselves.

use rusqlite::{Connection, params};

use crate::store::{StoreError, commands::PurgeSessions, sqlite::writer::RunInSqlite};

impl RunInSqlite for PurgeSessions {
    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let purged = connection
            .prepare_cached(
                "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ?1 LIMIT ?2)",
            )?
            .execute(params![self.now, self.limit])?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}
