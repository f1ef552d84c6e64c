//! Connections to the server, and the runtime that carries them.
//!
//! Whoever serves calls does so on a runtime a thread, which ends with its thread. Connections are everybody's, so they
//! live on a runtime of the store's own: a query is handed over to it, and its answer comes back.

use std::{future::Future, pin::Pin, sync::Arc};

use deadpool_postgres::ClientWrapper;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_postgres::{Client, Config, Connection, Error, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection that was not polled yet.
pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Every connection begins with this. Limits are for what goes wrong: a query that nobody waits for is cancelled, and
/// no transaction of ours idles, unless its process was frozen and holds locks that others wait for.
///
/// A server that is set up to answer commits before they are durable is told not to.
const SETTINGS: &str = "SET statement_timeout = '60s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '5s'; SET jit = off; SET client_min_messages = warning;
    SET default_transaction_isolation = 'read committed';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Makes connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    config: Arc<Config>,
    tls: MakeRustlsConnect,
    runtime: Handle,
}

impl Connector {
    pub(super) fn new(config: Config, tls: MakeRustlsConnect, runtime: Handle) -> Self {
        Self { config: Arc::new(config), tls, runtime }
    }

    /// A connection, on its own runtime.
    pub(super) async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let (config, tls) = (Arc::clone(&self.config), self.tls.clone());
        let connected = self.runtime.spawn(async move {
            let (client, wire) = config.connect(tls).await?;
            // The error reaches whoever waits for an answer.
            let task = tokio::spawn(async move { drop(wire.await) });
            client.batch_execute(SETTINGS).await?;
            Ok((client, task))
        });
        match connected.await {
            Ok(connected) => connected,
            // The runtime has ended with the store: there is nobody left to answer.
            Err(_) => std::future::pending().await,
        }
    }

    /// The same with the statements that it has prepared.
    pub(super) async fn client(&self) -> Result<ClientWrapper, Error> {
        let (client, task) = self.connect().await?;
        Ok(ClientWrapper::new(client, task))
    }

    /// A connection whose messages the caller reads; to be called on the store's runtime.
    pub(super) async fn wire(&self) -> Result<(Client, Wire), Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// Gives up a connection on which nobody waits for an answer any more: whatever runs on it is cancelled.
    pub(super) fn abandon(&self, client: ClientWrapper) {
        let (token, tls) = (client.cancel_token(), self.tls.clone());
        self.runtime.spawn(async move {
            // The connection is closed after that: the request is answered when the server has passed it on.
            let _ = token.cancel_query(tls).await;
            drop(client);
        });
    }

    /// The runtime of the connections.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl deadpool_postgres::Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(self.connect())
    }
}
