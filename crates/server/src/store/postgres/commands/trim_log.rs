//! Removes the oldest rows of the change log.

use super::Command;
use crate::store::{
    LogTrim, StoreError,
    postgres::{row::column, tx::Tx, value::params},
};

/// See [`crate::store::FeedStore::trim_log`].
pub(in crate::store::postgres) struct TrimLog(pub(in crate::store::postgres) LogTrim);

impl Command for TrimLog {
    type Output = u32;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        let LogTrim { before, keep_max, batch_max } = self.0;
        const ENDS: &str = "SELECT min(position), max(position) FROM positions";
        let ends = tx.row(ENDS, params![]).await?.ok_or_else(|| StoreError::Internal("min gave no row".into()))?;
        let (Some(oldest), Some(newest)): (Option<i64>, Option<i64>) = (column(&ends, 0)?, column(&ends, 1)?) else {
            return Ok(0);
        };
        // Rows are numbered without a gap but for what was trimmed, which is the oldest. The newest stays: the next row
        // is numbered after it.
        let too_many = newest.saturating_sub(i64::try_from(keep_max.max(1)).unwrap_or(i64::MAX));
        let last = oldest.saturating_add(i64::from(batch_max)).saturating_sub(1).min(newest - 1);
        // By time the log is in order but for what a clock set back has done, so the first row that is young enough
        // ends it.
        const SQL: &str = "WITH trimmed AS (
                DELETE FROM positions WHERE position <= $1 AND (position <= $2 OR position < (
                    SELECT coalesce(min(p.position), $1 + 1) FROM positions p JOIN changes c ON c.seq = p.seq
                    WHERE p.position <= $1 AND c.at >= $3))
                RETURNING seq
            ) DELETE FROM changes c USING trimmed t WHERE c.seq = t.seq";
        let removed = tx.affected(SQL, params![last, too_many, before]).await?;
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }
}
