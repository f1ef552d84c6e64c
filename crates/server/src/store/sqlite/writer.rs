//! The one writer: a thread that turns a queue of commands into few durable commits.
//!
//! It takes what is waiting, without lingering, runs each command in a savepoint of one
//! transaction, commits once, publishes to the cache, and only then answers. So a command that
//! fails takes back its own changes alone, and a commit that fails fails every command in it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{checkpoint::Checkpointer, search_index::SearchIndex};
use crate::{
    model::{User, UserId},
    store::{StoreError, cache::UserCache},
};

/// Commands in one commit at most: bounds how long the first of them waits for the last.
const BATCH_MAX: usize = 512;

/// What the writer runs. Many commands share a transaction, so it must not begin or end one.
pub(super) trait Command: Send + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// Does it. On an error everything that it changed is taken back.
    fn run(&self, connection: &Connection) -> Result<Self::Output, StoreError>;

    /// Whether the changes are kept; `false` for a rehearsal, which is answered as if they were.
    fn keep(&self) -> bool {
        true
    }

    /// The user that it changes, if the cache may hold it.
    fn touches(&self) -> Option<&UserId> {
        None
    }

    /// That user after the change; `None` if it is gone.
    fn user_after(_: &Self::Output) -> Option<&Arc<User>> {
        None
    }
}

/// The way to the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. `queue_max` commands may wait; more are refused with [`StoreError::Busy`].
    pub(super) fn start(
        connection: Connection,
        cache: Arc<UserCache>,
        followers: Option<Followers>,
        queue_max: usize,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(queue_max);
        let run = move || WriterThread { connection, cache, followers }.run(jobs);
        let thread = thread::Builder::new().name("sqlite-writer".into()).spawn(run)?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Queues the command and waits until it is durable.
    pub(super) async fn execute<C: Command>(&self, command: C) -> Result<C::Output, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Box::new(Pending { command, reply, outcome: None })).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Whether the thread takes commands.
    pub(super) fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Lets the thread finish what is queued and waits for its end. Blocks.
    pub(super) fn close(&self) {
        let _ = self.queue.blocking_send(Box::new(Close));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the SQLite writer thread panicked");
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

/// A command with its caller, whatever its type.
trait Job: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool {
        false
    }
    /// Whether this is the last job.
    fn is_close(&self) -> bool {
        false
    }
    fn touches(&self) -> Option<&UserId> {
        None
    }
    /// Runs; `Ok(true)` if the changes are to be kept.
    fn run(&mut self, connection: &Connection) -> Result<bool, StoreError>;
    /// What the cache may hold of the user that it touches: nothing if it failed, was a rehearsal, or removed it.
    fn user_after(&self) -> Option<&Arc<User>> {
        None
    }
    /// Answers, after the commit.
    fn finish(self: Box<Self>, committed: &Result<(), StoreError>);
}

struct Pending<C: Command> {
    command: C,
    reply: oneshot::Sender<Result<C::Output, StoreError>>,
    outcome: Option<Result<C::Output, StoreError>>,
}

impl<C: Command> Job for Pending<C> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn touches(&self) -> Option<&UserId> {
        self.command.touches()
    }

    fn run(&mut self, connection: &Connection) -> Result<bool, StoreError> {
        let outcome = self.command.run(connection);
        let keep = outcome.as_ref().map(|_| self.command.keep()).map_err(Clone::clone);
        self.outcome = Some(outcome);
        keep
    }

    fn user_after(&self) -> Option<&Arc<User>> {
        let output = self.outcome.as_ref()?.as_ref().ok()?;
        C::user_after(output).filter(|_| self.command.keep())
    }

    fn finish(self: Box<Self>, committed: &Result<(), StoreError>) {
        let result = match (committed, self.outcome) {
            // A refusal too: it may rest on what another command of the lost transaction had done.
            (Err(error), _) => Err(error.clone()),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Internal("a command was answered before it ran".into())),
        };
        // The caller may have gone; the change stands.
        let _ = self.reply.send(result);
    }
}

/// Ends the thread.
struct Close;

impl Job for Close {
    fn is_close(&self) -> bool {
        true
    }
    fn run(&mut self, _: &Connection) -> Result<bool, StoreError> {
        Ok(true)
    }
    fn finish(self: Box<Self>, _: &Result<(), StoreError>) {}
}

/// Who is told of every commit to a file.
#[derive(Debug)]
pub(super) struct Followers {
    pub(super) checkpointer: Checkpointer,
    pub(super) search_index: SearchIndex,
}

struct WriterThread {
    connection: Connection,
    cache: Arc<UserCache>,
    followers: Option<Followers>,
}

impl WriterThread {
    fn run(mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) {
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        while queue.blocking_recv_many(&mut jobs, BATCH_MAX) > 0 {
            let close = jobs.iter().any(|job| job.is_close());
            jobs.retain(|job| !job.is_abandoned());
            let committed = self.commit(&mut jobs);
            if let Err(error) = &committed {
                tracing::error!(%error, commands = jobs.len(), "a commit failed");
            }
            self.publish(&jobs, committed.is_ok());
            for job in jobs.drain(..) {
                job.finish(&committed);
            }
            if close {
                queue.close();
            }
            if let Some(followers) = &mut self.followers {
                followers.checkpointer.after_commit(&self.connection);
                followers.search_index.after_commit();
            }
        }
        if let Some(followers) = self.followers {
            followers.search_index.stop();
            followers.checkpointer.stop(&self.connection);
        }
    }

    /// Lets the cache hold the users again, each as the last command of the batch has left it.
    fn publish(&self, jobs: &[Box<dyn Job>], committed: bool) {
        let touched = || jobs.iter().enumerate().filter_map(|(index, job)| Some((index, job, job.touches()?)));
        let last: HashMap<&UserId, usize> = touched().map(|(index, _, id)| (id, index)).collect();
        for (index, job, id) in touched() {
            self.cache.resume(id, job.user_after().filter(|_| committed && last[id] == index));
        }
    }

    /// Runs the jobs in one transaction.
    fn commit(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        for id in jobs.iter().filter_map(|job| job.touches()) {
            self.cache.suspend(id);
        }
        let result = self.in_transaction(jobs);
        if result.is_err() && !self.connection.is_autocommit() {
            // Nothing more can be done if this fails too; the next BEGIN will say so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        result
    }

    fn in_transaction(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE")?;
        for job in jobs {
            self.execute("SAVEPOINT command")?;
            match job.run(&self.connection) {
                Ok(true) => {}
                // SQLite itself has taken the whole transaction back, as it does when the disk is full.
                Err(error) if self.connection.is_autocommit() => return Err(error),
                Ok(false) | Err(_) => self.execute("ROLLBACK TO command")?,
            }
            self.execute("RELEASE command")?;
        }
        self.execute("COMMIT")
    }

    fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
