//! Why Redis cannot be used: at the start, and for a command.

use std::{error::Error as _, io};

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Redis was not asked, has not answered in time, or has refused: whoever asked goes on without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// Why there is no connection. Texts name the server as the settings do, without the password.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// No server answers, or not in time.
    #[error("cannot reach Redis at {server}: {detail}")]
    Unreachable {
        /// Hosts and ports.
        server: String,
        /// What the system said.
        detail: String,
    },
    /// It answers, and cannot be used now: it is loading, or out of memory.
    #[error("Redis at {server} is not ready: {detail}")]
    NotReady {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
    /// The server does not let us in.
    #[error("Redis at {server} refuses to let us in: {detail}")]
    Refused {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
    /// The user may not do what we need.
    #[error("Redis at {server} does not let this user do what Roster needs: {detail}")]
    NotAllowed {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
    /// It is something else.
    #[error("what answers at {server} is no Redis: {detail}")]
    NotRedis {
        /// Hosts and ports.
        server: String,
        /// What is wrong with its answer.
        detail: String,
    },
    /// The connection cannot be secured.
    #[error("cannot speak TLS with Redis at {server}: {detail}")]
    Tls {
        /// Hosts and ports.
        server: String,
        /// What went wrong.
        detail: String,
    },
    /// It takes no writes.
    #[error("Redis at {server} is a replica, which takes no writes: {detail}")]
    ReadOnly {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
    /// It is a cluster and should be none.
    #[error("Redis at {server} is a node of a cluster: {detail}")]
    Cluster {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
    /// It should be a cluster and is none.
    #[error("Redis at {server} is no cluster: {detail}")]
    NoCluster {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "start it, or mend the host and port in redis_url",
            Self::NotReady { .. } => "look at its log and its memory (maxmemory)",
            Self::Refused { .. } => "mend the user, password or number in redis_url",
            Self::NotAllowed { .. } => {
                "give the user in redis_url the keys, channels and commands that docs/redis.md names"
            }
            Self::NotRedis { .. } => "mend the host and port in redis_url; rediss:// is for one that speaks TLS",
            Self::Tls { .. } => "mend redis_ca_file, or the host in redis_url; redis:// is for one without TLS",
            Self::ReadOnly { .. } => "name the primary in redis_url",
            Self::Cluster { .. } => "set redis_cluster = true",
            Self::NoCluster { .. } => "set redis_cluster = false and name one server in redis_url",
        }
    }

    /// Whether it stays so until somebody mends it: a reason not to start.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::NotReady { .. })
    }

    /// What health says of it; the log has the rest.
    pub(crate) fn message(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "Redis cannot be reached: limits and lockouts hold on each server by itself",
            Self::NotReady { .. } => "Redis is not ready: limits and lockouts hold on each server by itself",
            Self::Refused { .. } => {
                "Redis refuses to let us in (redis_url): limits and lockouts hold on each server by itself"
            }
            Self::NotAllowed { .. } => {
                "Redis lets our user do too little (redis_url): limits and lockouts hold on each server by itself"
            }
            Self::NotRedis { .. } => {
                "what answers is no Redis (redis_url): limits and lockouts hold on each server by itself"
            }
            Self::Tls { .. } => "no TLS with Redis (redis_ca_file): limits and lockouts hold on each server by itself",
            Self::ReadOnly { .. } => "Redis takes no writes: limits and lockouts hold on each server by itself",
            Self::Cluster { .. } | Self::NoCluster { .. } => {
                "see redis_cluster: limits and lockouts hold on each server by itself"
            }
        }
    }

    /// What an error of the library says when a connection is made, or was.
    pub(super) fn of(server: &str, error: &RedisError) -> Self {
        let (server, detail) = (server.to_owned(), text(error));
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Refused { server, detail },
            ErrorKind::Parse => Self::NotRedis { server, detail },
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::NotAllowed { server, detail },
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly { server, detail },
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => Self::Cluster { server, detail },
            // These have no kind of their own.
            ErrorKind::Server(ServerErrorKind::ResponseError) if detail.contains("cluster support disabled") => {
                Self::NoCluster { server, detail }
            }
            ErrorKind::Server(ServerErrorKind::ResponseError)
                if detail.contains("SELECT") || detail.contains("DB index") =>
            {
                Self::Refused { server, detail }
            }
            ErrorKind::Server(ServerErrorKind::ResponseError) if detail.contains("unknown command") => {
                Self::NotAllowed { server, detail }
            }
            ErrorKind::Extension if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "DENIED")) => {
                Self::Refused { server, detail }
            }
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Self::Unreachable { server, detail },
            _ => Self::NotReady { server, detail },
        }
    }

    /// What an error of the system says when a connection is made.
    pub(super) fn of_system(server: &str, error: &io::Error) -> Self {
        let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let (server, detail) = (server.to_owned(), error.to_string());
        if is_tls { Self::Tls { server, detail } } else { Self::Unreachable { server, detail } }
    }
}

/// The error with its causes.
pub(super) fn text(error: &RedisError) -> String {
    let mut text = error.to_string();
    let mut source = error.source().and_then(|cause| cause.source());
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    // Some texts have several lines.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
