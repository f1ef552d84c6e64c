//! Removes the oldest rows of the change log.

use rusqlite::{Connection, params};

use crate::store::{
    StoreError,
    commands::TrimLog,
    sqlite::{feed, writer::RunInSqlite},
};

impl RunInSqlite for TrimLog {
    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let newest = feed::newest(connection)?;
        let last = self.last(feed::oldest(connection)?, newest);
        // Rows are numbered without a gap, but for what was trimmed, which is the oldest.
        let too_many = newest.saturating_sub(self.keep_max());
        // By time the log is in order but for what a clock set back has done, so the first row that is young enough
        // ends it.
        const SQL: &str = "DELETE FROM changes WHERE position <= ?1 AND (position <= ?2 OR position < (
                               SELECT coalesce(min(position), ?1 + 1) FROM changes WHERE position <= ?1 AND at >= ?3))";
        let removed = connection.prepare_cached(SQL)?.execute(params![last, too_many, self.0.before])?;
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }
}
