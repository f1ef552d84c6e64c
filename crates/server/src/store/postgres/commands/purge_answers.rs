//! Removes answers that need not be kept any more.

use super::RunInPostgres;
use crate::store::{
    StoreError,
    commands::PurgeAnswers,
    postgres::{tx::Tx, value::params},
};

impl RunInPostgres for PurgeAnswers {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        const SQL: &str = "DELETE FROM answers WHERE id IN
             (SELECT id FROM answers WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let purged = tx.affected(SQL, params![self.now, self.limit]).await?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}
