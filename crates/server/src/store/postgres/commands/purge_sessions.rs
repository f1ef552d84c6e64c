//! Removes sessions that have ended by themselves.

use super::Command;
use crate::{
    model::Timestamp,
    store::{
        StoreError,
        postgres::{tx::Tx, value::params},
    },
};

/// See [`crate::store::SessionStore::purge_sessions`]. It ends no grant: those end by the clock.
pub(in crate::store::postgres) struct PurgeSessions {
    pub(in crate::store::postgres) now: Timestamp,
    pub(in crate::store::postgres) limit: u32,
}

impl Command for PurgeSessions {
    type Output = u32;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        // What another node is about to purge, or a sign-in to make room of, is theirs.
        const SQL: &str = "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let purged = tx.affected(SQL, params![self.now, self.limit]).await?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}
