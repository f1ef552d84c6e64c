//! The one connection of a copy, for whoever blocks.

use tokio::{runtime::Runtime, time::timeout};
use tokio_postgres::{Client, Error, error::SqlState};

use crate::store::{
    copy::CopyError,
    postgres::{OpenError, PostgresUrl, connect::Connector, error::full_text, error::is_of_connection, open, tls},
};

/// What is switched off that protects servers from each other: a copy takes as long as it takes.
const SETTINGS: &str =
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '5s';
    SET application_name = 'roster copy'";

/// A connection, and the runtime that carries it.
pub(super) struct Session {
    pub(super) client: Client,
    /// The database, without its password.
    pub(super) name: String,
    pub(super) server: String,
    runtime: Runtime,
}

impl Session {
    /// Connects to a server that Roster can use.
    pub(super) fn open(url: &PostgresUrl) -> Result<Self, CopyError> {
        let server = url.server();
        let failed = |detail: String| OpenError::Failed { server: server.clone(), detail };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let tls = tls::connector(&url.trust).map_err(|detail| OpenError::Tls { server: server.clone(), detail })?;
        let connector = Connector::new(&url.config, tls, runtime.handle().clone());
        let client = runtime.block_on(async {
            let connected = timeout(connector.patience(), connector.connect()).await;
            let slow = |_| failed("it does not answer in time".into());
            let (client, _task) = connected.map_err(slow)?.map_err(|error| OpenError::of(&server, &error))?;
            open::check(&client, &server).await?;
            client.batch_execute(SETTINGS).await.map_err(|error| OpenError::of(&server, &error))?;
            Ok::<_, OpenError>(client)
        })?;
        Ok(Self { client, name: url.to_string(), server, runtime })
    }

    /// Waits for the future.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Why it was not read.
    pub(super) fn cannot_read(&self, error: &Error) -> CopyError {
        CopyError::CannotRead { database: self.name.clone(), detail: self.detail(error) }
    }

    /// Why it was not written.
    pub(super) fn cannot_write(&self, error: &Error) -> CopyError {
        CopyError::CannotWrite { database: self.name.clone(), detail: self.detail(error) }
    }

    pub(super) fn in_use(&self, detail: impl Into<String>) -> CopyError {
        CopyError::InUse { database: self.name.clone(), detail: detail.into() }
    }

    fn detail(&self, error: &Error) -> String {
        let text = full_text(error);
        if is_of_connection(error) { format!("the connection broke: {text}") } else { text }
    }
}

/// Whether somebody held what was wanted for too long, or waited for us.
pub(super) fn is_of_lock(error: &Error) -> bool {
    matches!(error.code(), Some(&(SqlState::LOCK_NOT_AVAILABLE | SqlState::T_R_DEADLOCK_DETECTED)))
}
