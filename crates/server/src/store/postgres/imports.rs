//! Runs of imports, and what became of their rows.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    model::{Timestamp, UserId, filter::Filter},
    store::{ImportBatch, ImportKey, Moment, Rehearsal, RowVerdict, StoreError, TransferStore},
};

#[async_trait]
impl TransferStore for PostgresStore {
    async fn find_import(&self, key: ImportKey) -> Result<i64, StoreError> {
        unimplemented!()
    }

    async fn find_verdicts(&self, key: ImportKey, number: i64) -> Result<Vec<RowVerdict>, StoreError> {
        unimplemented!()
    }

    async fn import_users(&self, batch: ImportBatch) -> Result<Vec<RowVerdict>, StoreError> {
        unimplemented!()
    }

    async fn rehearse_import(&self, batch: ImportBatch, rehearsal: &Rehearsal) -> Result<Vec<RowVerdict>, StoreError> {
        unimplemented!()
    }

    async fn purge_imports(&self, before: Timestamp, batch_max: u32) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn export_moment(&self, filter: Option<Filter>, after: Option<UserId>) -> Result<Moment, StoreError> {
        unimplemented!()
    }
}
