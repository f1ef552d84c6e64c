//! Forgets runs of imports, a piece at a time.

use rusqlite::{Connection, params};

use crate::store::{StoreError, commands::PurgeImports, sqlite::writer::RunInSqlite};

impl RunInSqlite for PurgeImports {
    fn run(&self, connection: &Connection) -> Result<bool, StoreError> {
        // Nobody takes up a run that is half gone: it loses its name first.
        connection
            .prepare_cached(
                "UPDATE imports SET owner = '', name = 'forgotten:' || pk WHERE used_at < ?1 AND owner <> ''",
            )?
            .execute([self.before])?;
        let verdicts = connection
            .prepare_cached(
                "DELETE FROM import_verdicts WHERE pk IN (
                     SELECT v.pk FROM imports i JOIN import_verdicts v ON v.import_pk = i.pk
                     WHERE i.used_at < ?1 LIMIT ?2)",
            )?
            .execute(params![self.before, self.batch_max])?;
        let runs = connection
            .prepare_cached(
                "DELETE FROM imports WHERE pk IN (
                     SELECT i.pk FROM imports i WHERE i.used_at < ?1
                     AND NOT EXISTS (SELECT 1 FROM import_verdicts v WHERE v.import_pk = i.pk) LIMIT ?2)",
            )?
            .execute(params![self.before, self.batch_max])?;
        Ok(verdicts.max(runs) >= self.batch_max as usize)
    }
}
