//! Imports users: many in one command, each as if it were alone.
//!
//! New users, which most are, are written straight away. Only if somebody stands in the way is it read who; what becomes of
//! each row is then decided in memory, and what they change is written at once. So there are one or two round trips before
//! the commit, however many rows there are. Users who come between the reading and the writing are met as a conflict,
//! which undoes all of it; then it is done again.

mod known;
mod plan;
mod write;

use std::borrow::Cow;

pub(in crate::store::postgres) use self::known::{Keys, Known};
use self::plan::{Plan, plan};
pub(super) use self::write::{INSERT_FREE_IDS, columns};
use super::{RunInPostgres, lock_admins};
use crate::{
    model::{Actor, User},
    store::{
        StoreError,
        commands::{ImportUsers, Imported},
        derived::Derived,
        postgres::{imports, row::column, statement::Statement, tx::Tx, value::params},
    },
};

impl RunInPostgres for ImportUsers {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Imported, StoreError> {
        // While a table grows fast, what the planner knows of it is long past, and it would read all of it for each batch.
        tx.queue("SET LOCAL enable_seqscan = off", params![]);
        let plan = match self.write_new(tx).await? {
            Some(plan) => plan,
            None => plan(&self.batch, &self.derived, self.look(tx).await?)?,
        };
        let Plan { verdicts, ended, writes, .. } = plan;
        writes.write(tx);
        if let Some(step) = &self.batch.step {
            imports::keep(tx, step, &verdicts, self.batch.meta.at);
        }
        Ok(Imported { verdicts, ended })
    }

    /// The rows were free when they were looked at, so somebody has come between.
    fn is_race(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::Conflict(_))
    }
}

impl ImportUsers {
    /// Writes the users as if nobody had anything of theirs; what else there is to write is in the plan. `None` if somebody
    /// had, and then nothing was written. Before that, a run that has gone on elsewhere is refused.
    async fn write_new(&self, tx: &mut Tx<'_>) -> Result<Option<Plan<'_>>, StoreError> {
        let mut plan = plan(&self.batch, &self.derived, Known::default())?;
        let count = self.derived.iter().flatten().count() as u64;
        let insert = if plan.creates_all { plan.writes.take_new() } else { None };
        let run = self.batch.step.as_ref().map(|step| (step.after, imports::lock(tx, &step.key)));
        let (after, run) = run.unzip();
        let mut statements: Vec<Statement> = run.into_iter().collect();
        let tries = insert.is_some();
        // Behind the lock of the run, which going back is not to give up.
        statements
            .extend(insert.into_iter().flat_map(|insert| [Statement::new("SAVEPOINT new_users", params![]), insert]));
        let mut answers = tx.answers(statements).await?;
        let inserted = if tries { answers.pop().unwrap_or_default().affected } else { 0 };
        if let Some(after) = after {
            let run = answers.first().and_then(|answer| answer.rows.first());
            let last_row: Option<i64> = run.map(|row| column(row, 0)).transpose()?;
            if last_row.unwrap_or(0) != after {
                return Err(StoreError::Stale);
            }
        }
        if plan.creates_all && inserted == count {
            return Ok(Some(plan));
        }
        if tries {
            tx.queue("ROLLBACK TO SAVEPOINT new_users", params![]);
        }
        Ok(None)
    }

    /// Reads whom the rows meet, and locks them if they may be changed.
    async fn look(&self, tx: &mut Tx<'_>) -> Result<Known, StoreError> {
        let keys = Keys::of(&self.batch);
        let lock = self.batch.update_existing.then(|| keys.lock());
        let statements: Vec<Statement> = lock.into_iter().chain([keys.find()]).collect();
        let mut answers = tx.answers(statements).await?;
        let found = answers.pop().unwrap_or_default();
        let locked = answers.pop().unwrap_or_default();
        let mut known = Known::from_rows(&found.rows, &locked.rows)?;
        if self.batch.update_existing && self.batch.meta.actor != Actor::Developer && known.has_admins() {
            lock_admins(tx);
            known.set_able_admins(&tx.answer(Known::able_admins()).await?.rows)?;
        }
        Ok(known)
    }
}

/// A user to write, and the columns made from it.
pub(super) struct Written<'b> {
    pub(super) user: Cow<'b, User>,
    pub(super) derived: Cow<'b, Derived>,
    pub(super) is_new: bool,
}
