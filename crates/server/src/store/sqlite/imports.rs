//! Runs of imports, and what became of their rows.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SqliteStore, feed};
use crate::{
    model::{Timestamp, UserId, filter::Filter},
    store::{
        ImportBatch, ImportKey, ImportStep, Moment, Rehearsal, RowVerdict, StoreError, TransferStore,
        commands::{ImportUsers, PurgeImports},
        import::{rehearse, verdicts},
    },
};

#[async_trait]
impl TransferStore for SqliteStore {
    async fn find_import(&self, key: ImportKey) -> Result<i64, StoreError> {
        let find = move |connection: &Connection| Ok(find_run(connection, &key)?.map_or(0, |run| run.last_row));
        self.writer.execute(super::Read::behind_imports(find)).await
    }

    async fn find_verdicts(&self, key: ImportKey, number: i64) -> Result<Vec<RowVerdict>, StoreError> {
        self.point(move |connection| find_verdicts(connection, &key, number)).await
    }

    async fn import_users(&self, batch: ImportBatch) -> Result<Vec<RowVerdict>, StoreError> {
        Ok(self.writer.execute(ImportUsers::new(batch)?).await?.verdicts)
    }

    async fn rehearse_import(&self, batch: ImportBatch, rehearsal: &Rehearsal) -> Result<Vec<RowVerdict>, StoreError> {
        let seen = rehearsal.clone();
        let scan =
            move |connection: &Connection| feed::in_snapshot(connection, || rehearse(connection, &batch, &seen.lock()));
        let (verdicts, added) = self.scan(scan).await?;
        rehearsal.add(added);
        Ok(verdicts)
    }

    async fn purge_imports(&self, before: Timestamp, batch_max: u32) -> Result<bool, StoreError> {
        self.writer.execute(PurgeImports { before, batch_max }).await
    }

    async fn export_moment(&self, filter: Option<Filter>, after: Option<UserId>) -> Result<Moment, StoreError> {
        let moment = move |connection: &Connection| {
            feed::in_snapshot(connection, || feed::moment(connection, filter.as_ref(), after.as_ref()))
        };
        self.scan(moment).await
    }
}

/// A run, as the transaction sees it.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pk: i64,
    last_row: i64,
}

fn find_run(connection: &Connection, key: &ImportKey) -> rusqlite::Result<Option<Run>> {
    connection
        .prepare_cached("SELECT pk, last_row FROM imports WHERE owner = ?1 AND name = ?2")?
        .query_row(params![key.owner, key.name], |row| Ok(Run { pk: row.get(0)?, last_row: row.get(1)? }))
        .optional()
}

/// The run, if it is where the step says; `None` if the step begins it.
pub(super) fn check_step(connection: &Connection, step: &ImportStep) -> Result<Option<Run>, StoreError> {
    let run = find_run(connection, &step.key)?;
    if run.map_or(0, |run| run.last_row) == step.after { Ok(run) } else { Err(StoreError::Stale) }
}

/// Keeps what became of a batch of rows.
pub(super) fn keep(
    connection: &Connection,
    (run, step): (Option<Run>, &ImportStep),
    verdicts: &[RowVerdict],
    at: Timestamp,
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (verdicts.first(), verdicts.last()) else { return Ok(()) };
    let pk = match run {
        Some(run) => {
            connection
                .prepare_cached("UPDATE imports SET last_row = ?2, used_at = ?3 WHERE pk = ?1")?
                .execute(params![run.pk, last.number, at])?;
            run.pk
        }
        None => {
            connection
                .prepare_cached("INSERT INTO imports (owner, name, last_row, used_at) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![step.key.owner, step.key.name, last.number, at])?;
            connection.last_insert_rowid()
        }
    };
    connection
        .prepare_cached("INSERT INTO import_verdicts (import_pk, first_row, verdicts) VALUES (?1, ?2, ?3)")?
        .execute(params![pk, first.number, verdicts::encoded(verdicts)])?;
    Ok(())
}

fn find_verdicts(connection: &Connection, key: &ImportKey, number: i64) -> Result<Vec<RowVerdict>, StoreError> {
    const SQL: &str = "SELECT verdicts FROM import_verdicts
         WHERE import_pk = ?1 AND first_row <= ?2 ORDER BY first_row DESC LIMIT 1";
    let Some(run) = find_run(connection, key)? else { return Ok(Vec::new()) };
    let bytes: Option<Vec<u8>> =
        connection.prepare_cached(SQL)?.query_row(params![run.pk, number], |row| row.get(0)).optional()?;
    bytes.map_or(Ok(Vec::new()), |bytes| verdicts::decoded(&bytes))
}
