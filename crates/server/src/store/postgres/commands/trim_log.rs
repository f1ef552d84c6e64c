//! Removes the oldest rows of the change log.

use super::RunInPostgres;
use crate::store::{
    StoreError,
    commands::TrimLog,
    postgres::{row::column, tx::Tx, value::params},
};

impl RunInPostgres for TrimLog {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        const ENDS: &str = "SELECT min(position), max(position) FROM positions";
        let ends = tx.row(ENDS, params![]).await?.ok_or_else(|| StoreError::Internal("min gave no row".into()))?;
        let (Some(oldest), Some(newest)): (Option<i64>, Option<i64>) = (column(&ends, 0)?, column(&ends, 1)?) else {
            return Ok(0);
        };
        let (last, too_many) = self.bounds(oldest, newest);
        // By time the log is in order but for what a clock set back has done, so the first row that is young enough
        // ends it.
        const SQL: &str = "WITH trimmed AS (
                DELETE FROM positions WHERE position <= $1 AND (position <= $2 OR position < (
                    SELECT coalesce(min(p.position), $1 + 1) FROM positions p JOIN changes c ON c.seq = p.seq
                    WHERE p.position <= $1 AND c.at >= $3))
                RETURNING seq
            ) DELETE FROM changes c USING trimmed t WHERE c.seq = t.seq";
        let removed = tx.affected(SQL, params![last, too_many, self.0.before]).await?;
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }
}
