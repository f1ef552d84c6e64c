//! Connections of the pool, each with what its server calls it, so that what runs on one can be cancelled from another.

use std::ops::Deref;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::Error;

use super::connect::Connector;

/// A connection of one's own.
#[derive(Debug)]
pub(super) struct Session {
    client: ClientWrapper,
    pub(super) backend: Backend,
}

/// The server's process behind a connection. Its start goes with its number: numbers are used again, and another server
/// has the same ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backend {
    pub(super) pid: i64,
    /// In microseconds since 1970, by the server's clock.
    pub(super) started: i64,
}

impl Deref for Session {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

/// Makes the sessions of a pool.
pub(super) struct Sessions(pub(super) Connector);

impl Manager for Sessions {
    type Type = Session;
    type Error = Error;

    async fn create(&self) -> Result<Session, Error> {
        const BACKEND: &str = "SELECT pid::BIGINT, (extract(epoch FROM backend_start) * 1000000)::BIGINT
             FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let client = self.0.client().await?;
        let row = client.query_one(BACKEND, &[]).await?;
        let backend = Backend { pid: row.try_get(0)?, started: row.try_get(1)? };
        Ok(Session { client, backend })
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<Error> {
        if session.is_closed() { Err(RecycleError::message("the connection is closed")) } else { Ok(()) }
    }
}
