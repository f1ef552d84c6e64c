//! Connections to the server, and the runtime that carries them.
//!
//! Whoever serves calls does so on a runtime a thread, which ends with its thread. Connections of the pool are everybody's, so
//! they live on a runtime of the store's own: a query is handed over to it, and its answer comes back. A shared connection
//! lives on the worker that made it: of up to four workers each has its own, and to wake two threads for a read costs more than
//! the read. Whoever finds it gone makes another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::ClientWrapper;
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, Connection, Error, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::hosts::each_host;

/// A connection that was not polled yet.
pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Every connection begins with this. Limits are for what goes wrong: a query that nobody waits for is cancelled, and
/// no transaction of ours idles, unless its process was frozen and holds locks that others wait for, such as the retry of its
/// own call on another server: these are gone before a balancer has found it out. A server that runs a long statement
/// looks whether its client is still there, where its system lets it (release 14 on Linux, and others later).
///
/// A server that is set up to answer commits before they are durable is told not to.
const SETTINGS: &str = "SET statement_timeout = '60s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '2s'; SET jit = off; SET client_min_messages = warning;
    SET default_transaction_isolation = 'read committed';
    DO $$ BEGIN PERFORM set_config('client_connection_check_interval', '1s', false);
          EXCEPTION WHEN invalid_parameter_value THEN NULL; END $$;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// How much longer than all hosts together may take whoever waits for a connection does wait.
const SLACK: Duration = Duration::from_secs(1);

/// Makes connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    hosts: Arc<[Config]>,
    /// The host that has let us in last. It is tried first: of several, the others are standbys or gone.
    usual: Arc<AtomicUsize>,
    /// How long a host may take, from the first packet until a connection can be used.
    host_max: Duration,
    tls: MakeRustlsConnect,
    runtime: Handle,
}

impl Connector {
    pub(super) fn new(config: &Config, tls: MakeRustlsConnect, runtime: Handle) -> Self {
        let host_max = config.get_connect_timeout().copied().unwrap_or(SLACK);
        Self { hosts: each_host(config).into(), usual: Arc::default(), host_max, tls, runtime }
    }

    /// How long it may take to make a connection, whichever host it is that answers.
    pub(super) fn patience(&self) -> Duration {
        self.host_max.saturating_mul(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).saturating_add(SLACK)
    }

    /// A connection, on the store's runtime.
    pub(super) async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        self.connect_on(&self.runtime).await
    }

    /// A connection, on this runtime, whatever becomes of the caller.
    async fn connect_on(&self, runtime: &Handle) -> Result<(Client, JoinHandle<()>), Error> {
        let connector = self.clone();
        // The error reaches whoever waits for an answer.
        let carry = async |wire: Wire| drop(wire.await);
        let connected = runtime.spawn(async move { connector.reach(|wire| tokio::spawn(carry(wire))).await });
        match connected.await {
            Ok(connected) => connected,
            // The runtime has ended, with the store or with the caller's thread: there is nobody left to answer.
            Err(_) => std::future::pending().await,
        }
    }

    /// The first host's connection that can be used, and the task that carries it. To be called on the runtime that is to
    /// carry it.
    pub(super) async fn reach(
        &self,
        carry: impl Fn(Wire) -> JoinHandle<()>,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        let first = self.usual.load(Ordering::Relaxed);
        let mut last = None;
        for index in (0..self.hosts.len()).map(|place| (first + place) % self.hosts.len()) {
            let mut carrier = None;
            let attempt = async {
                let (client, wire) = self.hosts[index].connect(self.tls.clone()).await?;
                carrier = Some(carry(wire));
                client.batch_execute(SETTINGS).await?;
                Ok(client)
            };
            let attempt = timeout(self.host_max, attempt).await.unwrap_or_else(|_| Err(Error::__private_api_timeout()));
            match (attempt, carrier) {
                (Ok(client), Some(carrier)) => {
                    self.usual.store(index, Ordering::Relaxed);
                    return Ok((client, carrier));
                }
                (outcome, carrier) => {
                    // It would wait for an answer of the server, which may stay silent.
                    carrier.inspect(JoinHandle::abort);
                    last = outcome.err();
                }
            }
        }
        Err(last.unwrap_or_else(Error::__private_api_timeout))
    }

    /// The same as [`Self::connect`] with the statements that it has prepared.
    pub(super) async fn client(&self) -> Result<ClientWrapper, Error> {
        let (client, task) = self.connect().await?;
        Ok(ClientWrapper::new(client, task))
    }

    /// The same on the caller's runtime.
    pub(super) async fn client_here(&self) -> Result<ClientWrapper, Error> {
        let (client, task) = self.connect_on(&Handle::current()).await?;
        Ok(ClientWrapper::new(client, task))
    }

    /// The runtime of the connections.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
