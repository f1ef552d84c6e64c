//! Secrets of the installation, such as the key that page tokens are signed with.

use rusqlite::{Connection, params};

use crate::store::{StoreError, sqlite::writer::Command};

/// See [`crate::store::Store::secret`].
pub(in crate::store::sqlite) struct Secret {
    pub(in crate::store::sqlite) name: &'static str,
}

impl Command for Secret {
    type Output = [u8; 32];

    fn run(&self, connection: &Connection) -> Result<[u8; 32], StoreError> {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        connection
            .prepare_cached("INSERT INTO secrets (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![self.name, fresh])?;
        Ok(connection
            .prepare_cached("SELECT value FROM secrets WHERE name = ?1")?
            .query_row([self.name], |row| row.get(0))?)
    }
}
