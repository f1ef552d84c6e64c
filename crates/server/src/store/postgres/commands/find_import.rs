//! How far a run of an import is.

use super::RunInPostgres;
use crate::store::{
    ImportKey, StoreError,
    commands::Command,
    postgres::{imports, row::column, tx::Tx},
};

/// See [`crate::store::TransferStore::find_import`]. A command, because it waits for batches that are under way.
pub(in crate::store::postgres) struct FindImport {
    pub(in crate::store::postgres) key: ImportKey,
}

impl Command for FindImport {
    type Output = i64;
}

impl RunInPostgres for FindImport {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        let find = imports::lock(tx, &self.key);
        let run = tx.answer(find).await?.rows;
        Ok(run.first().map(|row| column(row, 0)).transpose()?.unwrap_or(0))
    }
}
