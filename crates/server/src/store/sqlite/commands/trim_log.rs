//! Removes the oldest rows of the change log.

use rusqlite::{Connection, params};

use crate::store::{
    LogTrim, StoreError,
    sqlite::{feed, writer::Command},
};

/// See [`crate::store::FeedStore::trim_log`].
pub(in crate::store::sqlite) struct TrimLog(pub(in crate::store::sqlite) LogTrim);

impl Command for TrimLog {
    type Output = u32;

    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let LogTrim { before, keep_max, batch_max } = self.0;
        let (oldest, newest) = (feed::oldest(connection)?, feed::newest(connection)?);
        // Rows are numbered without a gap but for what was trimmed, which is the oldest. The newest stays: the next row
        // is numbered after it.
        let too_many = newest.saturating_sub(i64::try_from(keep_max.max(1)).unwrap_or(i64::MAX));
        let last = oldest.saturating_add(i64::from(batch_max)).saturating_sub(1).min(newest - 1);
        // By time the log is in order but for what a clock set back has done, so the first row that is young enough
        // ends it.
        const SQL: &str = "DELETE FROM changes WHERE position <= ?1 AND (position <= ?2 OR position < (
                               SELECT coalesce(min(position), ?1 + 1) FROM changes WHERE position <= ?1 AND at >= ?3))";
        let removed = connection.prepare_cached(SQL)?.execute(params![last, too_many, before])?;
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }
}
