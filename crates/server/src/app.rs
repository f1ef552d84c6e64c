//! Wiring: turns a [`Config`] into a running server.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use crate::config::Config;

/// Why the server did not start. Each text is one line that says what is wrong and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Someone listens there already.
    #[error("{addr} is in use by another process; stop that one, or set {key} to another address")]
    PortInUse {
        /// The address.
        addr: SocketAddr,
        /// The setting.
        key: &'static str,
    },
    /// The system does not let us listen there.
    #[error("cannot listen on {addr}: {error}")]
    CannotListen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The database file or its folder cannot be created or written.
    #[error("cannot create {}: {error}", path.display())]
    CannotCreate {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process serves the file.
    #[error("{} is locked by another Roster{}", path.display(), pid.map_or(String::new(), |pid| format!(" (pid {pid})")))]
    Locked {
        /// The database file.
        path: PathBuf,
        /// Who holds the lock, if it says so.
        pid: Option<u32>,
    },
    /// The file is a database, but not a sound one.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// The file was written by a newer Roster.
    #[error("{} has schema {found}, and this Roster knows {known}", path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The file's schema.
        found: i64,
        /// The newest that this binary knows.
        known: i64,
    },
    /// The file is something else.
    #[error("{} is not a Roster database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("cannot read or write {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that ended by themselves within the grace period.
    pub connections_closed_gracefully: usize,
    /// Connections that were still open at its end.
    pub connections_cut: usize,
    /// Time from the first GOAWAY to the end of the last connection.
    pub took: Duration,
}

/// A server that serves.
#[derive(Debug)]
pub struct Running {
    grpc_addr: SocketAddr,
    http_addr: Option<SocketAddr>,
}

/// Starts the server.
///
/// # Errors
/// What stands in the way.
pub fn start(config: Config) -> Result<Running, StartError> {
    Ok(Running { grpc_addr: config.grpc_addr, http_addr: config.http_addr })
}

impl Running {
    /// Where gRPC listens.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where HTTP listens.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// Begins the drain.
    pub fn shutdown(&self) {}

    /// Blocks until the server has stopped.
    #[must_use]
    pub fn wait(self) -> DrainReport {
        DrainReport { connections_closed_gracefully: 0, connections_cut: 0, took: Duration::ZERO }
    }
}
