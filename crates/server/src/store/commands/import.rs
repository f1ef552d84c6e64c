//! Imports users, and forgets runs of imports.

use super::{Command, ShowUser};
use crate::{
    model::Timestamp,
    store::{Ended, ImportBatch, RowContent, RowOutcome, RowVerdict, StoreError, derived::Derived},
};

/// See [`crate::store::TransferStore::import_users`].
pub struct ImportUsers {
    pub batch: ImportBatch,
    /// Of each row with a user.
    pub derived: Vec<Option<Derived>>,
}

/// What became of the rows, and the grants that end with it.
pub struct Imported {
    pub verdicts: Vec<RowVerdict>,
    pub ended: Vec<Ended>,
}

impl ImportUsers {
    /// Readies all that can be made without the database.
    pub fn new(batch: ImportBatch) -> Result<Self, StoreError> {
        let derived = |content: &RowContent| match content {
            RowContent::User(row) => Derived::of(&row.user).map(Some),
            RowContent::Decided(_) => Ok(None),
        };
        Ok(Self { derived: batch.rows.iter().map(|row| derived(&row.content)).collect::<Result<_, _>>()?, batch })
    }
}

impl Command for ImportUsers {
    type Output = Imported;

    fn is_bulk(&self) -> bool {
        true
    }

    fn ends(&self, imported: &Imported) -> Vec<Ended> {
        imported.ended.clone()
    }

    fn show_users<'a>(&'a self, imported: &'a Imported, show: &mut ShowUser<'_, 'a>) {
        // The cache holds nobody who was not there before, and a million new users would drive all others out of it.
        for verdict in &imported.verdicts {
            if let RowOutcome::Updated(Some(id)) = &verdict.outcome {
                show(id, None);
            }
        }
    }
}

/// See [`crate::store::TransferStore::purge_imports`].
pub struct PurgeImports {
    pub before: Timestamp,
    pub batch_max: u32,
}

impl Command for PurgeImports {
    type Output = bool;
}
