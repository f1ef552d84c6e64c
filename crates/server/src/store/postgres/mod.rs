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
mod grants;
mod hosts;
mod imports;
mod list;
mod log;
mod mail;
mod migrations;
mod open;
mod options;
mod preferences;
mod row;
mod run;
mod sessions;
mod signing_keys;
mod statement;
mod stats;
mod tls;
mod tx;
mod users;
mod value;

use std::{sync::Arc, thread};

use tokio::runtime::{self, Runtime};

use self::{connect::Connector, creates::Creates, database::Database, log::Log, stats::SharedStats};
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
    log: Log,
    creates: Arc<Creates>,
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
        let trust = Arc::new(Trust::new(log::TRUSTED_FOR));
        let (database, live) = (Arc::new(database), Arc::new(LiveGrants::trusting(Arc::clone(&trust))));
        let opened = block_on(&runtime, async {
            open::open(database.connector(), &server).await?;
            Log::start(database.connector(), &live, &trust).await.map_err(|error| failed(error.to_string()))
        });
        match opened {
            Ok(log) => {
                let shared = (log.waker(), Arc::clone(&stats), runtime.handle().clone());
                let creates = Creates::new(Arc::clone(&database), shared, limits);
                let (import_turn, runtime) = (Default::default(), Some(runtime));
                Ok(Self { database, live, log, creates, import_turn, stats, runtime })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }
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
