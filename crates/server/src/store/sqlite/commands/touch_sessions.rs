//! Notes when and from where sessions were last used.

use rusqlite::{Connection, params};

use crate::store::{SessionUse, StoreError, sqlite::writer::Command};

/// See [`crate::store::SessionStore::touch_sessions`].
pub(in crate::store::sqlite) struct TouchSessions {
    pub(in crate::store::sqlite) uses: Vec<SessionUse>,
}

impl Command for TouchSessions {
    type Output = ();

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
