//! The connections of a store: a pool for commands and for reads that may take long, and a few that everybody shares
//! for reads of single rows.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool::{
    Runtime,
    managed::{Object, Pool, Timeouts},
};
use deadpool_postgres::ClientWrapper;
use tokio::{sync::Semaphore, time::timeout};
use tokio_postgres::Row;

use super::{
    connect::Connector,
    error::{Aftermath, aftermath, closed, no_connection},
    session::Sessions,
    settle::{CANCELS_AT_ONCE, Left, settle},
    statement::Statement,
    stats::SharedStats,
    value::Value,
};
use crate::{
    backlog::{Backlog, Wait},
    store::StoreError,
};

/// How long a call waits for a connection of the pool.
const WAIT: Duration = Duration::from_secs(5);
/// How long a read on a shared connection may take: whatever holds it up holds up all that follow it there.
const READ_MAX: Duration = Duration::from_secs(2);
/// Shared connections. Queries follow each other on them without waiting for answers, so few carry many.
const SHARED: usize = 4;

/// What nobody waits for any more on a shared connection is ended by the server. What is read there has an index or a table
/// of few rows, and a plan is kept: one that was made while there were few users must not read all of them when there are many.
const SHARED_SETTINGS: &str = "SET statement_timeout = '3s'; SET enable_seqscan = off";

/// A connection of the pool; goes back when it is dropped.
pub(super) type PooledSession = Object<Sessions>;

/// All connections of a store.
pub(super) struct Database {
    this: Weak<Self>,
    connector: Connector,
    pool: Pool<Sessions>,
    cancels: Semaphore,
    waiting_max: usize,
    /// Of those who wait for a connection of the pool.
    backlog: Backlog,
    shared: [Shared; SHARED],
    stats: SharedStats,
}

impl Database {
    /// Makes no connection yet.
    pub(super) fn new(
        connector: Connector,
        (connections_max, waiting_max): (usize, usize),
        stats: SharedStats,
    ) -> Result<Arc<Self>, String> {
        let timeouts = Timeouts { wait: Some(WAIT), create: Some(connector.patience()), recycle: None };
        let pool = Pool::builder(Sessions(connector.clone())).max_size(connections_max.max(1));
        let pool = pool.timeouts(timeouts).runtime(Runtime::Tokio1).build().map_err(|error| error.to_string())?;
        let backlog = Backlog::new(connections_max.max(1));
        let cancels = Semaphore::new(CANCELS_AT_ONCE);
        Ok(Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            connector,
            pool,
            cancels,
            waiting_max,
            backlog,
            shared: Default::default(),
            stats,
        }))
    }

    /// A connection of one's own, for a while.
    pub(super) async fn take(&self) -> Result<PooledSession, StoreError> {
        if self.pool.status().waiting >= self.waiting_max {
            self.stats.refused.increment();
            return Err(StoreError::Busy);
        }
        let _place = Place::of(&self.backlog);
        self.pool.get().await.map_err(no_connection)
    }

    /// Takes back a connection on which something still runs that nobody waits for.
    pub(super) fn take_back(&self, session: PooledSession, left: Left) {
        match self.this.upgrade() {
            Some(this) => drop(self.connector.runtime().spawn(settle(this, session, left))),
            // The store is dropped, and its connections with it.
            None => drop(PooledSession::take(session)),
        }
    }

    /// The turns of those who cancel.
    pub(super) fn cancels(&self) -> &Semaphore {
        &self.cancels
    }

    /// Takes in how long somebody had a connection.
    pub(super) fn took(&self, turn: Duration) {
        self.backlog.took(turn);
    }

    /// How long who asks for a connection now will wait; see [`Backlog::wait`].
    pub(super) fn wait(&self, ahead: usize) -> Wait {
        self.backlog.wait(ahead)
    }

    /// Reads a row or none, in one round trip, on a connection that others use at the same time. It must be quick: a
    /// connection that does not answer within [`READ_MAX`] is replaced, and the read is tried once more.
    pub(super) async fn point(&self, sql: &'static str, params: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// The same for a few rows.
    pub(super) async fn rows(&self, sql: &'static str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let statement = Statement::new(sql, params);
        let mut again = true;
        loop {
            let client = self.shared().await?;
            let answer = async {
                let prepared = statement.prepare(&client).await?;
                statement.run(&client, prepared.as_ref()).await
            };
            let (is_bad, error) = match timeout(READ_MAX, answer).await {
                Ok(Ok(answer)) => return Ok(answer.rows),
                Ok(Err(error)) => (aftermath(&error) != Aftermath::Lasting, error.into()),
                Err(_) => (true, StoreError::Unavailable("the database does not answer in time".into())),
            };
            // Whoever comes next must not find the connection that broke.
            if is_bad {
                self.forget(&client);
            }
            // A read may be done twice.
            if !is_bad || !std::mem::take(&mut again) {
                return Err(error);
            }
        }
    }

    /// This thread's usual shared connection, made anew if it broke.
    async fn shared(&self) -> Result<Arc<ClientWrapper>, StoreError> {
        if self.pool.is_closed() {
            return Err(closed());
        }
        let shared = self.own_shared();
        match shared.current() {
            Some(client) => Ok(client),
            None => shared.renew(&self.connector).await,
        }
    }

    /// The thread may be another than the one that this connection was taken on.
    fn forget(&self, broken: &Arc<ClientWrapper>) {
        self.shared.iter().for_each(|shared| shared.forget(broken));
    }

    fn own_shared(&self) -> &Shared {
        &self.shared[this_thread() % SHARED]
    }

    /// Whether others use all connections of the pool.
    pub(super) fn is_exhausted(&self) -> bool {
        let status = self.pool.status();
        status.available == 0 && status.size >= status.max_size
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Calls that wait for a connection of the pool.
    pub(super) fn waiting(&self) -> usize {
        self.pool.status().waiting
    }

    /// Lets no more calls in.
    pub(super) fn close(&self) {
        self.pool.close();
        self.shared.iter().for_each(Shared::close);
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

/// The number of this thread among those that have asked for theirs.
pub(super) fn this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static THIS_THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed));
    THIS_THREAD.with(|number| *number)
}

/// A place among those who wait for a connection, until it is dropped.
struct Place<'d>(&'d Backlog);

impl<'d> Place<'d> {
    fn of(backlog: &'d Backlog) -> Self {
        backlog.joined();
        Self(backlog)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.left(1);
    }
}

/// A connection for everybody.
#[derive(Default)]
struct Shared {
    client: RwLock<Option<Arc<ClientWrapper>>>,
    /// Held by the one that makes it anew, while the others wait.
    renewal: tokio::sync::Mutex<()>,
}

impl Shared {
    fn current(&self) -> Option<Arc<ClientWrapper>> {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        client.as_ref().filter(|client| !client.is_closed()).cloned()
    }

    async fn renew(&self, connector: &Connector) -> Result<Arc<ClientWrapper>, StoreError> {
        let _renewal = self.renewal.lock().await;
        if let Some(client) = self.current() {
            return Ok(client);
        }
        let connect = async {
            let client = connector.client_here().await?;
            client.batch_execute(SHARED_SETTINGS).await.map(|()| client)
        };
        let made = timeout(connector.patience(), connect).await;
        let made = made.map_err(|_| StoreError::Unavailable("the database takes no connections".into()))?;
        let client = Arc::new(made.map_err(|error| no_connection(error.into()))?);
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Has the next one make a connection, unless somebody has done so.
    fn forget(&self, broken: &Arc<ClientWrapper>) {
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        client.take_if(|client| Arc::ptr_eq(client, broken));
    }

    fn close(&self) {
        self.client.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}
