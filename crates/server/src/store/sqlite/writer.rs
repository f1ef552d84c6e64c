//! The one writer: a thread that turns a queue of commands into few durable commits.
//!
//! It takes what is waiting, without lingering, runs each command in one transaction, commits once,
//! publishes to the cache, and only then answers. A commit that fails fails every command in it.
//!
//! A command that fails must take back its own changes alone. A savepoint for each would see to
//! that, but copies every page that the command touches, and commands fail before they change
//! anything: their first change is the one that can meet a conflict. So only rehearsals run in a
//! savepoint; should a command fail half-way after all, the batch is run again with one for each.

mod job;
mod queue;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    job::{Close, Job, Pending},
    queue::{BATCH_MAX, Pace, Queue},
};
use super::{
    SYSTEM, checkpoint::Checkpointer, error::closed, feed, lock::FileLock, search_index::SearchIndex,
    stats::SharedStats,
};
use crate::{
    backlog::{Backlog, Wait},
    model::UserId,
    store::{
        LiveGrants, StoreError,
        cache::UserCache,
        commands::{Command, name_of},
        traces,
    },
    trace::Span,
};

/// How a command runs in SQLite. Many share a transaction, so it must not begin or end one.
pub(super) trait RunInSqlite: Command {
    /// Does it. On an error everything that it changed is taken back; it may be run again then.
    fn run(&self, connection: &Connection) -> Result<Self::Output, StoreError>;
}

/// The way to the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    backlog: Arc<Backlog>,
    newest: watch::Receiver<i64>,
    stats: SharedStats,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. `queue_max` commands may wait; more are refused with [`StoreError::Busy`].
    pub(super) fn start(
        (connection, lock): (Connection, Option<FileLock>),
        (cache, live, stats): (Arc<UserCache>, Arc<LiveGrants>, SharedStats),
        followers: Option<Followers>,
        queue_max: usize,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(queue_max);
        let newest = watch::Sender::new(feed::newest(&connection).map_err(std::io::Error::other)?);
        let newest_seen = newest.subscribe();
        let backlog = Arc::new(Backlog::new(BATCH_MAX));
        let waiting = Queue::new(jobs, Arc::clone(&backlog), Arc::clone(&stats));
        let of_thread = (Arc::clone(&stats), Arc::clone(&backlog));
        let run = move || {
            let (stats, backlog) = of_thread;
            let pace = Pace { batch: BATCH_MAX, sync: Duration::ZERO };
            let suspended = false;
            let thread = WriterThread {
                connection,
                cache,
                live,
                newest,
                stats,
                backlog,
                followers,
                pace,
                bulk_ran: Duration::ZERO,
                suspended,
                _lock: lock,
            };
            thread.run(waiting);
        };
        let thread = thread::Builder::new().name("sqlite-writer".into()).spawn(run)?;
        Ok(Self { queue, backlog, newest: newest_seen, stats, thread: Mutex::new(Some(thread)) })
    }

    /// Queues the command and waits until it is durable.
    pub(super) async fn execute<C: RunInSqlite>(&self, command: C) -> Result<C::Output, StoreError> {
        let span = traces::begin(SYSTEM, || name_of::<C>());
        let result = self.submit(command, span.clone()).await;
        if let Some(span) = &span {
            span.conclude(&result);
        }
        result
    }

    async fn submit<C: RunInSqlite>(&self, command: C, span: Option<Span>) -> Result<C::Output, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Pending { command, reply, outcome: None, since: Instant::now(), span });
        // Before it is there, so that the thread never takes one that was not counted.
        let counted = usize::from(!job.is_bulk());
        if counted > 0 {
            self.backlog.joined();
        }
        self.queue.try_send(job).map_err(|error| {
            self.backlog.left(counted);
            match error {
                mpsc::error::TrySendError::Full(_) => {
                    self.stats.writes_refused.increment();
                    StoreError::Busy
                }
                mpsc::error::TrySendError::Closed(_) => closed(),
            }
        })?;
        // The command comes back with the answer, because memory is freed for less on the thread that it was made on.
        answer.await.map_or_else(|_| Err(closed()), |(result, _command)| result)
    }

    /// See [`FeedStore::newest_position`](crate::store::FeedStore::newest_position).
    pub(super) fn newest_position(&self) -> watch::Receiver<i64> {
        self.newest.clone()
    }

    /// How long a command that joins now will wait; see [`Backlog::wait`].
    pub(super) fn wait(&self, ahead: usize) -> Wait {
        self.backlog.wait(ahead)
    }

    /// How many commands wait for the thread, and how many may.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let max = self.queue.max_capacity();
        // Those that were taken out of the channel to be put in order, or those in it, with imports.
        (self.backlog.waiting().max(max - self.queue.capacity()).min(max), max)
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

/// Who is told of every commit to a file.
#[derive(Debug)]
pub(super) struct Followers {
    pub(super) checkpointer: Checkpointer,
    pub(super) search_index: SearchIndex,
}

/// Which commands run in a savepoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Savepoints {
    ForRehearsals,
    ForAll,
}

/// How far a batch came.
enum Ran {
    /// To the commit.
    Whole,
    /// To a command that failed after it had changed something.
    HalfWay,
}

struct WriterThread {
    connection: Connection,
    cache: Arc<UserCache>,
    live: Arc<LiveGrants>,
    newest: watch::Sender<i64>,
    stats: SharedStats,
    backlog: Arc<Backlog>,
    followers: Option<Followers>,
    pace: Pace,
    /// How long the bulk jobs of the batch ran.
    bulk_ran: Duration,
    /// Whether the cache keeps none of the users that the batch has changed.
    suspended: bool,
    /// Given up after the connection, which stands above it.
    _lock: Option<FileLock>,
}

impl WriterThread {
    fn run(mut self, mut queue: Queue) {
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        while queue.begin_batch(&mut jobs, self.pace.batch) {
            let started = Instant::now();
            let committed = self.commit(&mut jobs, &mut queue);
            let took = started.elapsed();
            self.stats.batches.record(jobs.len() as u64);
            match u32::try_from(queue.bulk_in_batch()) {
                Ok(0) => {
                    self.pace.learn(jobs.len(), took);
                    self.backlog.took(took);
                }
                // Whoever comes waits for one of them.
                bulk => self.backlog.took(took - (self.bulk_ran - self.bulk_ran / bulk.unwrap_or(u32::MAX)).min(took)),
            }
            self.backlog.set_at_once(self.pace.batch);
            if let Err(error) = &committed {
                self.stats.failed.increment();
                tracing::error!(%error, commands = jobs.len(), "a commit failed");
            }
            self.publish(&jobs, committed.is_ok());
            if committed.is_ok() {
                self.live.end(&jobs.iter().flat_map(|job| job.ends()).collect::<Vec<_>>());
                self.wake_feed();
            }
            if jobs.iter().any(|job| job.is_close()) {
                queue.close();
            }
            for job in jobs.drain(..) {
                job.finish(&committed);
            }
            if let Some(followers) = &self.followers {
                followers.checkpointer.after_commit(&self.connection, queue.is_empty());
                followers.search_index.after_commit();
            }
        }
        if let Some(followers) = self.followers {
            followers.search_index.stop();
            followers.checkpointer.stop(&self.connection);
        }
    }

    /// Tells those who follow the log how far it goes now.
    fn wake_feed(&self) {
        match feed::newest(&self.connection) {
            Ok(now) => drop(self.newest.send_if_modified(|newest| std::mem::replace(newest, now) != now)),
            // They hear of it with the next commit.
            Err(error) => tracing::error!(%error, "cannot read how far the change log goes"),
        }
    }

    /// Lets the cache hold the users again, each as the last command of the batch has left it.
    fn publish(&mut self, jobs: &[Box<dyn Job>], committed: bool) {
        if !std::mem::take(&mut self.suspended) {
            return;
        }
        let mut changed = Vec::with_capacity(jobs.len());
        jobs.iter().for_each(|job| job.show_users(&mut |id, user| changed.push((id, user))));
        let last: HashMap<&UserId, usize> = changed.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect();
        for (index, (id, user)) in changed.iter().enumerate() {
            self.cache.resume(id, user.filter(|_| committed && last[id] == index));
        }
    }

    /// Runs the jobs in one transaction, and adds the bulk jobs to them that the queue gives.
    fn commit(&mut self, jobs: &mut Vec<Box<dyn Job>>, queue: &mut Queue) -> Result<(), StoreError> {
        match self.in_transaction(jobs, Savepoints::ForRehearsals, |jobs| queue.add_bulk(jobs)) {
            Ok(Ran::Whole) => Ok(()),
            Ok(Ran::HalfWay) => {
                let add = |jobs: &mut Vec<_>| queue.bulk_in_batch() == 0 && queue.add_bulk(jobs);
                self.in_transaction(jobs, Savepoints::ForAll, add).map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    fn in_transaction(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        savepoints: Savepoints,
        add: impl FnMut(&mut Vec<Box<dyn Job>>) -> bool,
    ) -> Result<Ran, StoreError> {
        let result = self.execute("BEGIN IMMEDIATE").and_then(|()| self.run_all(jobs, savepoints, add));
        if !matches!(result, Ok(Ran::Whole)) && !self.connection.is_autocommit() {
            // Nothing more can be done if this fails too; the next BEGIN will say so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        result
    }

    /// `add` adds a job to those that are done, or says that there is no other.
    fn run_all(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        savepoints: Savepoints,
        mut add: impl FnMut(&mut Vec<Box<dyn Job>>) -> bool,
    ) -> Result<Ran, StoreError> {
        let mut kept = false;
        let mut begun = Instant::now();
        let mut done = 0;
        self.bulk_ran = Duration::ZERO;
        while done < jobs.len() || add(jobs) {
            let Some(job) = jobs.get_mut(done) else { break };
            done += 1;
            let savepoint = savepoints == Savepoints::ForAll || job.is_rehearsal();
            if savepoint {
                self.execute("SAVEPOINT command")?;
            }
            let before = self.connection.total_changes();
            match job.run(&self.connection) {
                Ok(true) => kept = true,
                // SQLite itself has taken the whole transaction back, as it does when the disk is full.
                Err(error) if self.connection.is_autocommit() => return Err(error),
                Ok(false) | Err(_) if savepoint => self.execute("ROLLBACK TO command")?,
                Ok(false) | Err(_) if self.connection.total_changes() != before => return Ok(Ran::HalfWay),
                Ok(false) | Err(_) => {}
            }
            if savepoint {
                self.execute("RELEASE command")?;
            }
            let ended = Instant::now();
            self.stats.ran(job.name(), ended.duration_since(begun));
            if job.is_bulk() {
                self.bulk_ran += ended.duration_since(begun);
            }
            if let Some(span) = job.span() {
                span.record("run", begun, ended);
            }
            begun = ended;
        }
        // Up to here, every read sees the users as they were. From here on the cache keeps none of those that have changed,
        // until it is known what they are.
        self.suspended = true;
        jobs.iter().for_each(|job| job.show_users(&mut |id, _| self.cache.suspend(id)));
        let started = Instant::now();
        self.execute(if kept { "COMMIT" } else { "ROLLBACK" })?;
        self.pace.sync = started.elapsed();
        self.stats.commits.observe(self.pace.sync);
        for span in jobs.iter().filter_map(|job| job.span()) {
            span.record("commit", started, started + self.pace.sync);
        }
        Ok(Ran::Whole)
    }

    fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as sync;

    use super::*;

    fn writer_on(connection: Connection) -> Writer {
        let shared = (Arc::new(UserCache::new(0)), Arc::default(), Arc::default());
        Writer::start((connection, None), shared, None, 64).unwrap()
    }

    /// Inserts a number, and then may fail.
    struct Insert {
        number: i64,
        fails: bool,
    }

    impl Command for Insert {
        type Output = i64;
    }

    impl RunInSqlite for Insert {
        fn run(&self, connection: &Connection) -> Result<i64, StoreError> {
            connection.execute("INSERT INTO numbers VALUES (?1)", [self.number])?;
            if self.fails { Err(StoreError::Stale) } else { Ok(self.number) }
        }
    }

    /// Holds the writer until the sender is dropped, so that what is queued meanwhile is one batch.
    struct Hold(Mutex<sync::Receiver<()>>);

    impl Command for Hold {
        type Output = ();
    }

    impl RunInSqlite for Hold {
        fn run(&self, _: &Connection) -> Result<(), StoreError> {
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }
    }

    /// In the order in which they were written.
    struct Numbers;

    impl Command for Numbers {
        type Output = Vec<i64>;
    }

    impl RunInSqlite for Numbers {
        fn run(&self, connection: &Connection) -> Result<Vec<i64>, StoreError> {
            let mut statement = connection.prepare("SELECT number FROM numbers ORDER BY rowid")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_half_way_takes_back_its_own_changes_alone() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE numbers (number INTEGER PRIMARY KEY); CREATE TABLE changes (position)")
            .unwrap();
        let writer = writer_on(connection);
        let (release, held) = sync::channel();
        let insert = |number, fails| writer.execute(Insert { number, fails });
        let batch = async {
            let held = writer.execute(Hold(Mutex::new(held)));
            let (held, one, two, again, three, ()) =
                tokio::join!(held, insert(1, false), insert(2, true), insert(1, false), insert(3, false), async {
                    drop(release);
                });
            (held.is_ok(), one, two, again.is_err(), three)
        };
        assert_eq!(batch.await, (true, Ok(1), Err(StoreError::Stale), true, Ok(3)));
        assert_eq!(writer.execute(Numbers).await.unwrap(), [1, 3]);
        assert_eq!(writer.wait(0), Wait::default(), "whoever joined the queue has left it");
        tokio::task::spawn_blocking(move || writer.close()).await.unwrap();
    }

    /// Takes as long as the sender is kept, and notes when it was done.
    struct Bulk(i64, Mutex<sync::Receiver<()>>);

    impl Bulk {
        fn at_once(number: i64) -> Self {
            Self(number, Mutex::new(sync::channel().1))
        }
    }

    impl Command for Bulk {
        type Output = ();

        fn is_bulk(&self) -> bool {
            true
        }
    }

    impl RunInSqlite for Bulk {
        fn run(&self, connection: &Connection) -> Result<(), StoreError> {
            let _ = self.1.lock().unwrap().recv();
            connection.execute("INSERT INTO numbers VALUES (?1)", [self.0])?;
            Ok(())
        }
    }

    #[tokio::test]
    async fn others_wait_for_no_bulk_but_what_has_begun() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE numbers (number); CREATE TABLE changes (position)").unwrap();
        let writer = writer_on(connection);
        let (release, held) = sync::channel::<()>();
        let bulk = |number| writer.execute(Bulk::at_once(number));
        let first = writer.execute(Bulk(1, Mutex::new(held)));
        let (first, second, third, other, ()) =
            tokio::join!(first, bulk(2), bulk(3), writer.execute(Insert { number: 4, fails: false }), async {
                drop(release);
            });
        assert_eq!((first, second, third, other), (Ok(()), Ok(()), Ok(()), Ok(4)));
        let mut order = writer.execute(Numbers).await.unwrap();
        assert!(
            order.iter().position(|number| *number == 4) < order.iter().position(|number| *number == 2),
            "{order:?}"
        );
        order.retain(|number| *number != 4);
        assert_eq!(order, [1, 2, 3]);
        assert_eq!(writer.waiting().0, 0);
        tokio::task::spawn_blocking(move || writer.close()).await.unwrap();
    }

    #[tokio::test]
    async fn bulk_is_answered_even_if_its_transaction_cannot_begin() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE numbers (number); CREATE TABLE changes (position); BEGIN").unwrap();
        let writer = writer_on(connection);
        let bulk = |number| writer.execute(Bulk::at_once(number));
        assert!(bulk(1).await.is_err(), "a transaction within a transaction");
        assert_eq!(bulk(2).await, Ok(()));
        assert_eq!(writer.execute(Numbers).await.unwrap(), [2]);
        tokio::task::spawn_blocking(move || writer.close()).await.unwrap();
    }
}
