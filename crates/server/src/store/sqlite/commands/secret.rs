//! Secrets of the installation, such as the key that page tokens are signed with.

use rusqlite::{Connection, params};

use crate::store::{StoreError, commands::Secret, sqlite::writer::RunInSqlite};

impl RunInSqlite for Secret {
    fn run(&self, connection: &Connection) -> Result<[u8; 32], StoreError> {
        let fresh = Self::fresh()?;
        connection
            .prepare_cached("INSERT INTO secrets (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![self.name, fresh])?;
        Ok(connection
            .prepare_cached("SELECT value FROM secrets WHERE name = ?1")?
            .query_row([self.name], |row| row.get(0))?)
    }
}
