//! Removes sessions that have ended by themselves.

use super::RunInPostgres;
use crate::store::{
    StoreError,
    commands::PurgeSessions,
    postgres::{tx::Tx, value::params},
};

impl RunInPostgres for PurgeSessions {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        // What another node is about to purge, or a sign-in to make room of, is theirs.
        const SQL: &str = "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let purged = tx.affected(SQL, params![self.now, self.limit]).await?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}
