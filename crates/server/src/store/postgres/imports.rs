//! Runs of imports, and what became of their rows.

use async_trait::async_trait;

use super::{
    PostgresStore,
    commands::{FindImport, Keys, Known},
    feed,
    row::column,
    statement::Statement,
    tx::{Tx, View},
    value::params,
};
use crate::{
    model::{Timestamp, UserId, filter::Filter},
    store::{
        ImportBatch, ImportKey, ImportStep, Moment, Rehearsal, RowVerdict, StoreError, TransferStore,
        commands::{ImportUsers, PurgeImports},
        import::{rehearse, verdicts},
    },
};

#[async_trait]
impl TransferStore for PostgresStore {
    async fn find_import(&self, key: ImportKey) -> Result<i64, StoreError> {
        let _turn = self.import_turn.lock().await;
        self.execute(FindImport { key }).await
    }

    async fn find_verdicts(&self, key: ImportKey, number: i64) -> Result<Vec<RowVerdict>, StoreError> {
        const SQL: &str = "SELECT v.verdicts FROM imports i JOIN import_verdicts v ON v.import_pk = i.pk
             WHERE i.owner = $1 AND i.name = $2 AND v.first_row <= $3 ORDER BY v.first_row DESC LIMIT 1";
        let row = self.database.point(SQL, params![key.owner, key.name, number]).await?;
        row.map_or(Ok(Vec::new()), |row| verdicts::decoded(column(&row, 0)?))
    }

    async fn import_users(&self, batch: ImportBatch) -> Result<Vec<RowVerdict>, StoreError> {
        let command = ImportUsers::new(batch)?;
        let _turn = self.import_turn.lock().await;
        match self.execute(command).await {
            Ok(imported) => Ok(imported.verdicts),
            // Again and again somebody came between.
            Err(StoreError::Conflict(_)) => Err(StoreError::Busy),
            Err(error) => Err(error),
        }
    }

    async fn rehearse_import(&self, batch: ImportBatch, rehearsal: &Rehearsal) -> Result<Vec<RowVerdict>, StoreError> {
        let keys = Keys::of(&batch);
        let known = self.read(View::Snapshot, async |tx| {
            // As in an import.
            tx.queue("SET LOCAL enable_seqscan = off", params![]);
            let answers = tx.answers(vec![keys.find(), Known::able_admins()]).await?;
            let [found, able_admins] = &answers[..] else {
                return Err(StoreError::Internal("an answer is missing".into()));
            };
            let mut known = Known::from_rows(&found.rows, &[])?;
            known.set_able_admins(&able_admins.rows)?;
            Ok(known)
        });
        let known = known.await?;
        let (verdicts, added) = rehearse(&known, &batch, &rehearsal.lock())?;
        rehearsal.add(added);
        Ok(verdicts)
    }

    async fn purge_imports(&self, before: Timestamp, batch_max: u32) -> Result<bool, StoreError> {
        self.execute(PurgeImports { before, batch_max }).await
    }

    async fn export_moment(&self, filter: Option<Filter>, after: Option<UserId>) -> Result<Moment, StoreError> {
        self.read(View::Numbered, async |tx| feed::moment(tx, filter.as_ref(), after.as_ref()).await).await
    }
}

/// Waits for the batches of a run that are under way, and keeps others away to the end of the transaction. Gives what reads
/// the last row that is done then.
pub(super) fn lock(tx: &mut Tx<'_>, key: &ImportKey) -> Statement {
    // The first batch of a run has no row yet that could be locked.
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($2, hashtextextended($1, 0)))";
    // The row is locked too, so that it is not forgotten meanwhile.
    const FIND: &str = "SELECT last_row FROM imports WHERE owner = $1 AND name = $2 FOR UPDATE";
    tx.queue(LOCK, params![&key.owner, &key.name]);
    Statement::new(FIND, params![&key.owner, &key.name])
}

/// Keeps what became of a batch of rows.
pub(super) fn keep(tx: &mut Tx<'_>, step: &ImportStep, verdicts: &[RowVerdict], at: Timestamp) {
    const RUN: &str = "INSERT INTO imports (owner, name, last_row, used_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (owner, name) DO UPDATE SET last_row = excluded.last_row, used_at = excluded.used_at";
    const VERDICTS: &str = "INSERT INTO import_verdicts (import_pk, first_row, verdicts)
         SELECT pk, $3, $4 FROM imports WHERE owner = $1 AND name = $2";
    let (Some(first), Some(last)) = (verdicts.first(), verdicts.last()) else { return };
    let ImportKey { owner, name } = &step.key;
    tx.queue(RUN, params![owner, name, last.number, at]);
    tx.queue(VERDICTS, params![owner, name, first.number, verdicts::encoded(verdicts)]);
}
