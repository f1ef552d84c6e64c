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
        let too_many = too_many(tx, newest, self.keep_max()).await?;
        let last = self.last(oldest, newest);
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

/// The position after which there are `keep` rows up to the newest. Within a course of the log rows are numbered without a
/// gap, but for what was trimmed, which is the oldest.
async fn too_many(tx: &mut Tx<'_>, newest: i64, keep: i64) -> Result<i64, StoreError> {
    const COURSES: &str = "SELECT first, after FROM courses WHERE first <= $1 ORDER BY first DESC";
    let (mut keep, mut end) = (keep, newest);
    for course in tx.rows(COURSES, params![newest]).await? {
        let (first, after): (i64, i64) = (column(&course, 0)?, column(&course, 1)?);
        let rows = end.saturating_sub(first).saturating_add(1);
        if keep <= rows {
            break;
        }
        (keep, end) = (keep - rows, after);
    }
    Ok(end.saturating_sub(keep))
}
