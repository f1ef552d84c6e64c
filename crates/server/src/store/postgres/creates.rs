//! Creations that come faster than commits: those that wait for one share the next.
//!
//! A few at a time have a transaction each, as any command. Whoever comes while they are under way waits for the first of
//! them to end, and goes with all who wait then. Nobody waits for company: on an idle server nothing is shared. What cannot
//! be done together with others is done again alone, so that nobody is told of somebody else's error.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use super::{
    commands::CreateUsers,
    database::Database,
    error::{Aftermath, closed},
    line::Line,
    run::{ATTEMPTS_MAX, pause},
    stats::SharedStats,
    tx::{Tx, View},
};
use crate::{
    model::UserId,
    store::{StoreError, StoredUser, commands::CreateUser},
};

/// Transactions that are under way at once. More would leave each with fewer users, and commits wait for one disk.
const FLIGHTS: usize = 4;
/// Users in one transaction.
const BATCH_MAX: usize = 64;

/// What all creations share.
#[derive(Debug)]
pub(super) struct Creates {
    database: Arc<Database>,
    /// To call after a commit.
    wake: Arc<Notify>,
    stats: SharedStats,
    runtime: Handle,
    connections_max: usize,
    waiting_max: usize,
    /// Transactions, and who waits for one of them to end.
    line: Mutex<Line<Waiting>>,
}

struct Waiting {
    create: CreateUser,
    answer: oneshot::Sender<Outcome>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

/// What becomes of a creation that had to wait.
enum Outcome {
    Done(StoredUser),
    Failed(StoreError),
    /// It is to be done by itself.
    Alone(Box<CreateUser>),
}

/// How a creation is to be done.
pub(super) enum Turn {
    /// By itself, before what comes with it is dropped.
    Alone(Box<CreateUser>, Option<Flight>),
    /// With others, as soon as there is a transaction for them.
    Shared(Answer),
}

/// What becomes of a creation that waits.
pub(super) struct Answer(oneshot::Receiver<Outcome>);

/// A transaction that is under way. Those who have come meanwhile have the next when it is dropped.
pub(super) struct Flight(Arc<Creates>);

impl Creates {
    pub(super) fn new(
        database: Arc<Database>,
        (wake, stats, runtime): (Arc<Notify>, SharedStats, Handle),
        (connections_max, waiting_max): (usize, usize),
    ) -> Arc<Self> {
        let connections_max = connections_max.max(1);
        Arc::new(Self { database, wake, stats, runtime, connections_max, waiting_max, line: Mutex::default() })
    }

    /// The way that a creation takes.
    pub(super) fn turn(self: &Arc<Self>, create: CreateUser) -> Result<Turn, StoreError> {
        if !create.may_share() {
            return Ok(Turn::Alone(Box::new(create), None));
        }
        let mut line = self.line();
        if line.len() >= self.waiting_max {
            self.stats.refused.increment();
            return Err(StoreError::Busy);
        }
        let flights = if line.is_held_up() { self.connections_max } else { FLIGHTS.min(self.connections_max) };
        let flight = line.begin(flights).then(|| Flight(Arc::clone(self)));
        if flight.is_some() && line.len() == 0 {
            return Ok(Turn::Alone(Box::new(create), flight));
        }
        let (answer, answered) = oneshot::channel();
        line.join(Waiting { create, answer });
        drop(line);
        // One more has those who wait.
        drop(flight);
        Ok(Turn::Shared(Answer(answered)))
    }

    /// Creations that wait.
    pub(super) fn waiting(&self) -> usize {
        self.line().len()
    }

    fn line(&self) -> MutexGuard<'_, Line<Waiting>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Vec<Waiting> {
        self.line().next(BATCH_MAX, |waiting| waiting.answer.is_closed())
    }

    /// Does what waits, until nothing does.
    async fn fly(self: Arc<Self>, mut batch: Vec<Waiting>) {
        while !batch.is_empty() {
            self.create(batch).await;
            batch = self.next();
        }
    }

    /// Does all of them in one transaction, and tells each what became of it.
    async fn create(&self, batch: Vec<Waiting>) {
        let (batch, twice) = apart(batch);
        match self.commit(&batch).await {
            Ok(added) => {
                self.wake.notify_one();
                for waiting in batch {
                    match added.contains(waiting.create.id()) {
                        true => waiting.done(),
                        // Somebody has what it wants. Alone it is told who, or is answered as it was before.
                        false => waiting.try_alone(),
                    }
                }
            }
            // What these say holds for all of them. Whether it was done may not be known.
            Err(error @ (StoreError::Unavailable(_) | StoreError::Busy)) => {
                batch.into_iter().for_each(|waiting| waiting.fail(error.clone()));
            }
            Err(_) => batch.into_iter().for_each(Waiting::try_alone),
        }
        // Only now, or they might come first.
        twice.into_iter().for_each(Waiting::try_alone);
    }

    async fn commit(&self, batch: &[Waiting]) -> Result<HashSet<UserId>, StoreError> {
        let command = CreateUsers(batch.iter().map(|waiting| &waiting.create).collect());
        let mut attempt = 1;
        loop {
            let mut tx = Tx::new(&self.database, View::Newest).await?;
            let outcome = match command.run(&mut tx).await {
                Ok(added) => tx.commit(None).await.map(|()| added),
                Err(error) => Err(error),
            };
            let aftermath = tx.aftermath();
            drop(tx);
            match outcome {
                Err(_) if aftermath != Aftermath::Lasting && attempt < ATTEMPTS_MAX => pause(attempt).await,
                outcome => return outcome,
            }
            attempt += 1;
        }
    }
}

/// Those that want nothing that one before them wants, and the rest: the first to come gets it.
fn apart(batch: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let (mut ids, mut emails, mut usernames) = (HashSet::new(), HashSet::new(), HashSet::new());
    batch.into_iter().partition(|waiting| {
        let (id, derived) = (waiting.create.id(), &waiting.create.derived);
        let is_free = !ids.contains(id)
            && !emails.contains(&derived.email_key)
            && derived.username_key.as_ref().is_none_or(|key| !usernames.contains(key));
        if is_free {
            ids.insert(id.clone());
            emails.insert(derived.email_key.clone());
            usernames.extend(derived.username_key.clone());
        }
        is_free
    })
}

impl Answer {
    /// The user, or what is to be done alone after all.
    pub(super) async fn wait(self) -> Result<Result<StoredUser, Box<CreateUser>>, StoreError> {
        match self.0.await {
            Ok(Outcome::Done(user)) => Ok(Ok(user)),
            Ok(Outcome::Alone(create)) => Ok(Err(create)),
            Ok(Outcome::Failed(error)) => Err(error),
            // The store is gone with its runtime.
            Err(_) => Err(closed()),
        }
    }
}

impl Waiting {
    fn done(self) {
        let user = self.create.created().clone();
        // Who has gone needs no answer.
        let _ = self.answer.send(Outcome::Done(user));
    }

    fn fail(self, error: StoreError) {
        let _ = self.answer.send(Outcome::Failed(error));
    }

    fn try_alone(self) {
        let _ = self.answer.send(Outcome::Alone(Box::new(self.create)));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let batch = self.0.next();
        if !batch.is_empty() {
            self.0.runtime.spawn(Arc::clone(&self.0).fly(batch));
        }
    }
}
