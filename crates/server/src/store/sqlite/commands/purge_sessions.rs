//! Removes sessions that have ended by themselves.

use rusqlite::{Connection, params};

use crate::{
    model::Timestamp,
    store::{StoreError, sqlite::writer::Command},
};

/// See [`crate::store::SessionStore::purge_sessions`]. It ends no grant: those end by the clock.
pub(in crate::store::sqlite) struct PurgeSessions {
    pub(in crate::store::sqlite) now: Timestamp,
    pub(in crate::store::sqlite) limit: u32,
}

impl Command for PurgeSessions {
    type Output = u32;

    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let purged = connection
            .prepare_cached(
                "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ?1 LIMIT ?2)",
            )?
            .execute(params![self.now, self.limit])?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}
