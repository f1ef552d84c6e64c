//! Notes when and from where sessions were last used.

use rusqlite::{Connection, params};

use crate::store::{StoreError, commands::TouchSessions, sqlite::writer::RunInSqlite};

impl RunInSqlite for TouchSessions {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(
            "UPDATE sessions SET last_used_at = ?2, remote_address = ?3 WHERE id = ?1 AND last_used_at <= ?2",
        )?;
        for used in &self.uses {
            statement.execute(params![used.id.0.as_bytes(), used.at, used.remote_address])?;
        }
        Ok(())
    }
}
