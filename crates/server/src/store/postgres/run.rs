//! How commands and reads are run: on which connection, how often, and what is told to whom after the commit.

use std::time::{Duration, Instant};

use super::{
    PostgresStore,
    commands::RunInPostgres,
    creates::Turn,
    error::Aftermath,
    tx::{Tx, View},
    value::params,
};
use crate::store::{
    StoreError, StoredUser,
    answers::kept_until,
    commands::{CreateUser, name_of},
    traces,
};

/// What the system is called in traces.
const SYSTEM: &str = "postgresql";
/// How often a command is run that the database has undone.
pub(super) const ATTEMPTS_MAX: u32 = 4;
/// How long it waits before the first repetition, about; twice as long before each further.
const PAUSE: Duration = Duration::from_millis(2);

impl PostgresStore {
    /// Runs the command in a transaction until it is durable, or will not be.
    pub(super) async fn execute<C: RunInPostgres>(&self, command: C) -> Result<C::Output, StoreError> {
        let started = Instant::now();
        let span = traces::begin(SYSTEM, || name_of::<C>());
        let output = self.run(&command).await;
        if let Some(span) = span {
            span.conclude(&output);
        }
        self.stats.ran(name_of::<C>(), started.elapsed());
        let output = output.inspect_err(|error| self.note_failure(name_of::<C>(), error))?;
        if command.keep() {
            self.live.end(&command.ends(&output));
            self.log.wake();
        }
        Ok(output)
    }

    /// Adds a user, alone or with others.
    pub(super) async fn create(&self, create: CreateUser) -> Result<StoredUser, StoreError> {
        let name = name_of::<CreateUser>();
        let answer = match self.creates.turn(create)? {
            Turn::Alone(create, _flight) => return self.execute(*create).await,
            Turn::Shared(answer) => answer,
        };
        let started = Instant::now();
        let span = traces::begin(SYSTEM, || name);
        let output = match answer.wait().await {
            Ok(Err(create)) => return self.execute(*create).await,
            Ok(Ok(user)) => Ok(user),
            Err(error) => Err(error),
        };
        if let Some(span) = span {
            span.conclude(&output);
        }
        self.stats.ran(name, started.elapsed());
        output.inspect_err(|error| self.note_failure(name, error))
    }

    async fn run<C: RunInPostgres>(&self, command: &C) -> Result<C::Output, StoreError> {
        let mut attempt = 1;
        loop {
            let mut tx = Tx::new(&self.database, View::Newest).await?;
            let error = match run_once(command, &mut tx).await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let aftermath = tx.aftermath();
            drop(tx);
            let again = attempt < ATTEMPTS_MAX
                && (aftermath != Aftermath::Lasting
                    || command.is_race(&error)
                    || (error == StoreError::KeyUsed && self.free_key(command).await?));
            if !again {
                return Err(error);
            }
            pause(attempt).await;
            attempt += 1;
        }
    }

    /// Removes the answer that stands in the command's way if it is kept no longer.
    async fn free_key<C: RunInPostgres>(&self, command: &C) -> Result<bool, StoreError> {
        let Some((now, call)) = command.meta().and_then(|meta| Some((meta.at, meta.idempotency.as_ref()?))) else {
            return Ok(false);
        };
        const SQL: &str = "DELETE FROM answers WHERE id = $1 AND expires_at <= $2 RETURNING TRUE";
        Ok(self.database.point(SQL, params![call.id, now]).await?.is_some())
    }

    /// Reads in a transaction.
    pub(super) async fn read<T, F>(&self, view: View, read: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    {
        let span = traces::begin(SYSTEM, traces::name_of_closure::<F>);
        let output = self.read_in(view, read).await;
        if let Some(span) = span {
            span.conclude(&output);
        }
        output
    }

    async fn read_in<T>(
        &self,
        view: View,
        read: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut tx = Tx::new(&self.database, view).await?;
        let output = read(&mut tx).await?;
        tx.finish();
        Ok(output)
    }

    fn note_failure(&self, command: &'static str, error: &StoreError) {
        if matches!(error, StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Corrupt(_)) {
            self.stats.failed.increment();
            tracing::error!(%error, command, "a command failed");
        }
    }
}

/// Runs a command up to its commit, or, if it is a rehearsal, to what would come before that.
async fn run_once<'d, C: RunInPostgres>(command: &'d C, tx: &mut Tx<'d>) -> Result<C::Output, StoreError> {
    if !command.keep() {
        let output = command.run(tx).await?;
        // What is queued may still fail.
        tx.flush().await?;
        return Ok(output);
    }
    let call = command.meta().and_then(|meta| Some((meta.idempotency.as_deref()?, kept_until(meta.at))));
    let Some((call, kept_until)) = call else {
        let output = command.run(tx).await?;
        tx.commit(None).await?;
        return Ok(output);
    };
    tx.claim(call, kept_until.0);
    let output = command.run(tx).await?;
    tx.commit(command.answer(&output)?).await?;
    Ok(output)
}

/// Lets others come first that the last attempt has met.
pub(super) async fn pause(attempt: u32) {
    let longest = PAUSE.saturating_mul(1 << attempt);
    let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    tokio::time::sleep(longest.mul_f64(chance)).await;
}
