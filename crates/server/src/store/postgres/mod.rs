//! Users in PostgreSQL: one database, and any number of servers over it.

mod addresses;
mod answers;
mod api_keys;
mod audit;
mod commands;
mod connect;
pub(super) mod copy;
mod creates;
mod database;
mod error;
mod feed;
mod finds;
mod grants;
mod hosts;
mod imports;
mod line;
mod list;
mod log;
mod mail;
mod migrations;
mod near;
mod open;
mod options;
mod preferences;
mod replicas;
mod row;
mod run;
mod session;
mod sessions;
mod settle;
mod signing_keys;
mod stale_reads;
mod statement;
mod stats;
mod tls;
mod tx;
mod users;
mod value;

use std::{sync::Arc, thread};

use tokio::runtime::{self, Handle, Runtime};

use self::{
    connect::Connector,
    creates::Creates,
    database::Database,
    finds::Finds,
    log::{Log, Readers},
    near::Near,
    replicas::Replicas,
    stats::SharedStats,
};
pub use self::{
    error::OpenError,
    migrations::NEWEST as NEWEST_SCHEMA,
    open::{Inspected, inspect},
    options::{PostgresOptions, PostgresUrl},
};
use super::{LiveGrants, Trust};

/// Threads that carry what goes to the server and comes from it.
const CARRIER_THREADS: usize = 2;

/// The PostgreSQL backend.
#[derive(Debug)]
pub struct PostgresStore {
    database: Arc<Database>,
    live: Arc<LiveGrants>,
    near: Arc<Near>,
    replicas: Arc<Replicas>,
    log: Log,
    creates: Arc<Creates>,
    finds: Finds,
    /// Held by the batch of an import that is under way. They take turns in the order in which they were handed in: an
    /// import hands in the next one while it waits for the last.
    import_turn: tokio::sync::Mutex<()>,
    stats: SharedStats,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl PostgresStore {
    /// Connects, checks, migrates and serves a database. Blocks.
    ///
    /// # Errors
    /// Why the database cannot be served.
    pub fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let server = options.url.server();
        let failed = |detail: String| OpenError::Failed { server: server.clone(), detail };
        let tls =
            tls::connector(&options.url.trust).map_err(|detail| OpenError::Tls { server: server.clone(), detail })?;
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(CARRIER_THREADS)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let connector = Connector::new(&options.url.config, tls, runtime.handle().clone());
        let stats = SharedStats::default();
        let limits = (options.connections_max, options.waiting_max);
        let database = Database::new(connector, limits, Arc::clone(&stats)).map_err(failed)?;
        let near = Arc::new(Near::new(options.cache_bytes));
        let replicas = Arc::new(replicas(&options, runtime.handle())?);
        let readers = Readers { near: Arc::clone(&near), replicas: Arc::clone(&replicas) };
        let trust = Arc::new(Trust::new(log::TRUSTED_FOR));
        let live = Arc::new(LiveGrants::trusting(Arc::clone(&trust)));
        let opened = block_on(&runtime, async {
            open::open(database.connector(), &server).await?;
            Log::start(database.connector(), (&live, &trust), readers).await.map_err(|error| failed(error.to_string()))
        });
        match opened {
            Ok(log) => {
                let shared = (log.waker(), Arc::clone(&stats), runtime.handle().clone());
                let (creates, finds) = (Creates::new(Arc::clone(&database), shared, limits), Finds::new(&database));
                let (import_turn, runtime) = (Default::default(), Some(runtime));
                Ok(Self { database, live, near, replicas, log, creates, finds, import_turn, stats, runtime })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }
}

/// The replicas of a database, which need not be there: no connection is made yet.
fn replicas(options: &PostgresOptions, runtime: &Handle) -> Result<Replicas, OpenError> {
    let connector = |url: PostgresUrl| {
        let server = url.server();
        let tls = tls::connector(&url.trust).map_err(|detail| OpenError::Tls { server: server.clone(), detail })?;
        Ok((server, Connector::new(&url.config, tls, runtime.clone())))
    };
    let urls = options.replicas.iter().flat_map(PostgresUrl::each_replica);
    let connectors = urls.map(connector).collect::<Result<Vec<_>, OpenError>>()?;
    let server = options.url.server();
    Replicas::new(connectors, options.connections_max).map_err(|detail| OpenError::Failed { server, detail })
}

/// Waits for the future, on a thread that no runtime minds being blocked.
fn block_on<T: Send>(runtime: &Runtime, future: impl Future<Output = T> + Send) -> T {
    thread::scope(|scope| match scope.spawn(|| runtime.block_on(future)).join() {
        Ok(output) => output,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
