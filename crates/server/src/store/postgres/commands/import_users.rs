//! Imports users: many in one command, each as if it were alone.
//!
//! What the rows meet is read at once, what becomes of each is decided in memory, and what they change is written at once:
//! two round trips and the commit, however many rows there are. Users who come between the reading and the writing are
//! met as a conflict, which undoes all of it; then it is done again.

mod known;
mod plan;
mod write;

use std::borrow::Cow;

pub(in crate::store::postgres) use self::known::{Keys, Known};
use self::plan::{Plan, plan};
use super::{Command, lock_admins};
use crate::{
    model::{Actor, User},
    store::{
        Ended, ImportBatch, ImportStep, RowContent, RowVerdict, StoreError,
        derived::Derived,
        postgres::{imports, row::column, statement::Statement, tx::Tx},
    },
};

/// See [`crate::store::TransferStore::import_users`].
pub(in crate::store::postgres) struct ImportUsers {
    batch: ImportBatch,
    /// Of each row with a user.
    derived: Vec<Option<Derived>>,
    keys: Keys,
}

/// What became of the rows, and the grants that end with it.
pub(in crate::store::postgres) struct Imported {
    pub(in crate::store::postgres) verdicts: Vec<RowVerdict>,
    ended: Vec<Ended>,
}

impl ImportUsers {
    /// Readies all that can be made without the database.
    pub(in crate::store::postgres) fn new(batch: ImportBatch) -> Result<Self, StoreError> {
        let derived = |content: &RowContent| match content {
            RowContent::User(row) => Derived::of(&row.user).map(Some),
            RowContent::Decided(_) => Ok(None),
        };
        let derived = batch.rows.iter().map(|row| derived(&row.content)).collect::<Result<_, _>>()?;
        Ok(Self { keys: Keys::of(&batch), derived, batch })
    }
}

impl Command for ImportUsers {
    type Output = Imported;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Imported, StoreError> {
        let known = self.look(tx).await?;
        let Plan { verdicts, ended, writes } = plan(&self.batch, &self.derived, known)?;
        writes.write(tx);
        if let Some(step) = &self.batch.step {
            imports::keep(tx, step, &verdicts, self.batch.meta.at);
        }
        Ok(Imported { verdicts, ended })
    }

    fn ends(&self, imported: &Imported) -> Vec<Ended> {
        imported.ended.clone()
    }

    /// The rows were free when they were looked at, so somebody has come between.
    fn is_race(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::Conflict(_))
    }
}

impl ImportUsers {
    /// Reads whom the rows meet, and locks them if they may be changed. Before that, a run that has gone on elsewhere is
    /// refused.
    async fn look(&self, tx: &mut Tx<'_>) -> Result<Known, StoreError> {
        let run = self.batch.step.as_ref().map(|step| imports::lock(tx, &step.key));
        let lock = self.batch.update_existing.then(|| self.keys.lock());
        let statements: Vec<Statement> = run.into_iter().chain(lock).chain([self.keys.find()]).collect();
        let mut answers = tx.answers(statements).await?.into_iter().map(|answer| answer.rows);
        if let Some(ImportStep { after, .. }) = &self.batch.step {
            let run = answers.next().unwrap_or_default();
            let last_row: Option<i64> = run.first().map(|row| column(row, 0)).transpose()?;
            if last_row.unwrap_or(0) != *after {
                return Err(StoreError::Stale);
            }
        }
        let locked = if self.batch.update_existing { answers.next().unwrap_or_default() } else { Vec::new() };
        let mut known = Known::from_rows(&answers.next().unwrap_or_default(), &locked)?;
        if self.batch.update_existing && self.batch.meta.actor != Actor::Developer && known.has_admins() {
            lock_admins(tx);
            known.set_able_admins(&tx.answer(Known::able_admins()).await?.rows)?;
        }
        Ok(known)
    }
}

/// A user to write, and the columns made from it.
struct Written<'b> {
    user: Cow<'b, User>,
    derived: Cow<'b, Derived>,
    is_new: bool,
}
