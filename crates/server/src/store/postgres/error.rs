//! PostgreSQL's errors, classed: for commands as [`StoreError`], for the start as [`OpenError`].

use std::error::Error as _;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::{Error, error::SqlState};

use crate::store::{StoreError, Unique};

/// What a unique constraint is about, by its name in the schema.
const CONSTRAINTS: [(&str, Unique); 3] =
    [("users_by_id", Unique::Id), ("users_by_email", Unique::Email), ("users_by_username", Unique::Username)];
/// The constraint that the second of two calls with one idempotency key runs into.
const ONE_ANSWER: &str = "answers_by_call";

/// What an error leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// The command would fail again.
    Lasting,
    /// Nothing was changed, and another attempt may succeed on the same connection.
    Retry,
    /// Nothing was changed, and another attempt may succeed on another connection: this one is given up.
    RetryElsewhere,
}

/// Classes what a statement ran into, when it is certain that its transaction was not committed.
pub(super) fn aftermath(error: &Error) -> Aftermath {
    match error.code() {
        Some(&(SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED)) => Aftermath::Retry,
        // The server ends the session, or is not, or not any more, the one that takes writes.
        Some(
            &(SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            | SqlState::READ_ONLY_SQL_TRANSACTION),
        ) => Aftermath::RetryElsewhere,
        // What was prepared on this connection is there no more, or fits its tables no more.
        Some(&(SqlState::INVALID_SQL_STATEMENT_NAME | SqlState::FEATURE_NOT_SUPPORTED)) => Aftermath::RetryElsewhere,
        None if is_of_connection(error) => Aftermath::RetryElsewhere,
        _ => Aftermath::Lasting,
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let text = full_text(&error);
        let Some(db) = error.as_db_error() else {
            // Not said by the server: the connection broke, or we have sent or read what does not fit.
            return if is_of_connection(&error) { Self::Unavailable(text) } else { Self::Internal(text) };
        };
        let unique = |name| CONSTRAINTS.iter().find(|(known, _)| *known == name).map(|(_, unique)| *unique);
        match db.code() {
            &SqlState::UNIQUE_VIOLATION => match db.constraint() {
                Some(ONE_ANSWER) => Self::KeyUsed,
                Some(name) => unique(name).map_or(Self::Internal(text), Self::Conflict),
                None => Self::Internal(text),
            },
            &(SqlState::DISK_FULL | SqlState::INSUFFICIENT_RESOURCES) => Self::Full(text),
            &(SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED) => Self::Corrupt(text),
            code if is_passing(code) => Self::Unavailable(text),
            _ => Self::Internal(text),
        }
    }
}

/// States that say nothing against the statement, by their class: connection, resources, operator, system; a
/// transaction that was rolled back; one that may only read.
fn is_passing(code: &SqlState) -> bool {
    matches!(&code.code()[..2], "08" | "40" | "53" | "55" | "57" | "58")
        || matches!(
            code,
            &(SqlState::READ_ONLY_SQL_TRANSACTION
                | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                | SqlState::INVALID_PASSWORD
                | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
                | SqlState::INVALID_CATALOG_NAME)
        )
}

/// Whether the connection failed, rather than what was sent or read.
pub(super) fn is_of_connection(error: &Error) -> bool {
    if let Some(code) = error.code() {
        return matches!(
            code,
            &(SqlState::ADMIN_SHUTDOWN
                | SqlState::CRASH_SHUTDOWN
                | SqlState::CANNOT_CONNECT_NOW
                | SqlState::READ_ONLY_SQL_TRANSACTION)
        );
    }
    // The library tells the kinds apart by their text alone.
    const OURS: [&str; 6] =
        ["error serializing", "error deserializing", "invalid c", "query returned", "expected ", "error encoding"];
    let text = error.to_string();
    !OURS.iter().any(|start| text.starts_with(start))
}

/// The error with its causes. The server's message is one of them; its detail, which may hold a user's data, is not.
pub(super) fn full_text(error: &Error) -> String {
    let Some(db) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        return text;
    };
    let constraint = db.constraint().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{} {}{constraint}", db.code().code(), db.message())
}

/// Why there is no connection for a command.
pub(super) fn no_connection(error: PoolError) -> StoreError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Busy,
        PoolError::Timeout(_) => StoreError::Unavailable("the database does not take connections in time".into()),
        PoolError::Backend(error) => match StoreError::from(error) {
            StoreError::Internal(text) => StoreError::Unavailable(text),
            error => error,
        },
        PoolError::Closed => closed(),
        error => StoreError::Internal(error.to_string()),
    }
}

/// What every command and query gets once the store is closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

/// Why a database cannot be served. Texts name the server as the settings do, without the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No server answers.
    #[error("cannot reach PostgreSQL at {server}: {detail}")]
    Unreachable {
        /// Hosts and ports.
        server: String,
        /// What the system said.
        detail: String,
    },
    /// The server does not let us in.
    #[error("PostgreSQL at {server} refuses to let us in: {detail}")]
    Refused {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
    /// There is no such database.
    #[error("PostgreSQL at {server} has no such database: {detail}")]
    NoDatabase {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
    /// The connection cannot be secured as the settings ask for.
    #[error("cannot speak TLS with PostgreSQL at {server}: {detail}")]
    Tls {
        /// Hosts and ports.
        server: String,
        /// What went wrong.
        detail: String,
    },
    /// The server is too old.
    #[error("PostgreSQL at {server} is {found}, and Roster needs {needed} or newer")]
    OldServer {
        /// Hosts and ports.
        server: String,
        /// Its version.
        found: String,
        /// The oldest that will do.
        needed: u32,
    },
    /// All servers that were reached are standbys or otherwise closed to writes.
    #[error("PostgreSQL at {server} takes no writes: {detail}")]
    ReadOnly {
        /// Hosts and ports.
        server: String,
        /// What it said.
        detail: String,
    },
    /// The database does not keep text as UTF-8.
    #[error("the database at {server} keeps text as {found}, not as UTF8")]
    NotUtf8 {
        /// Hosts and ports.
        server: String,
        /// Its encoding.
        found: String,
    },
    /// The extension for searches is not there, and we may not make it.
    #[error("the database at {server} lacks the extension pg_trgm: {detail}")]
    NoExtension {
        /// Hosts and ports.
        server: String,
        /// What the server said.
        detail: String,
    },
    /// The user may not do what a server has to.
    #[error("the user may not make or change tables in the database at {server}: {detail}")]
    NotAllowed {
        /// Hosts and ports.
        server: String,
        /// What the server said.
        detail: String,
    },
    /// The database holds something else.
    #[error("the database at {server} is not Roster's: {detail}")]
    NotOurs {
        /// Hosts and ports.
        server: String,
        /// What was found instead.
        detail: String,
    },
    /// Somebody holds what a migration needs, and does not let go of it.
    #[error("the schema of the database at {server} cannot be brought up to date: {detail}")]
    Held {
        /// Hosts and ports.
        server: String,
        /// Who holds what, and since when.
        detail: String,
    },
    /// A copy of another database that is not finished.
    #[error("the database at {server} is an unfinished copy of another database")]
    HalfCopied {
        /// Hosts and ports.
        server: String,
    },
    /// A newer Roster has migrated the database, and says that this one cannot serve it.
    #[error(
        "the database at {server} has schema {found}, which needs a Roster of schema {needed} at least; this one has {known}"
    )]
    NewerSchema {
        /// Hosts and ports.
        server: String,
        /// The database's schema.
        found: i64,
        /// The oldest schema of a Roster that may serve it.
        needed: i64,
        /// The newest that this binary knows.
        known: i64,
    },
    /// Anything else.
    #[error("cannot open the database at {server}: {detail}")]
    Failed {
        /// Hosts and ports.
        server: String,
        /// What failed.
        detail: String,
    },
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "start it, let this machine connect, or mend host and port in database_url",
            Self::Refused { .. } => "mend user and password in database_url, or let the user in (pg_hba.conf)",
            Self::NoDatabase { .. } => "create it (createdb), or name another in database_url",
            Self::Tls { .. } => "mend sslmode and sslrootcert in database_url, or the server's certificate",
            Self::OldServer { .. } => "upgrade it, or name another in database_url",
            Self::ReadOnly { .. } => "name the primary in database_url; several hosts may stand there, by commas",
            Self::NotUtf8 { .. } => "create one with createdb --encoding=UTF8 --template=template0",
            Self::NoExtension { .. } => {
                "install PostgreSQL's contrib modules on the server, and have a superuser run CREATE EXTENSION pg_trgm \
                 in the database"
            }
            Self::NotAllowed { .. } => "let the user of database_url own the database, or grant CREATE on its schema",
            Self::NotOurs { .. } => "name a database in database_url that is Roster's or empty",
            Self::Held { .. } => {
                "end that session (pg_terminate_backend), or start again when it has ended; servers that run go on \
                 meanwhile"
            }
            Self::HalfCopied { .. } => "let the same roster copy run to its end, or make a new database",
            Self::NewerSchema { .. } => "start the newer Roster",
            Self::Failed { .. } => "look into the server's log",
        }
    }

    /// Classes what was said while the database was opened.
    pub(super) fn of(server: &str, error: &Error) -> Self {
        let (server, detail) = (server.to_owned(), full_text(error));
        let Some(code) = error.code() else {
            let text = error.to_string();
            let is_read_only = detail.contains("does not allow writes");
            return match text.as_str() {
                _ if is_read_only => Self::ReadOnly { server, detail },
                "error performing TLS handshake" => Self::Tls { server, detail },
                "invalid configuration" | "authentication error" => Self::Refused { server, detail },
                _ if is_of_connection(error) => Self::Unreachable { server, detail },
                _ => Self::Failed { server, detail },
            };
        };
        match code {
            &SqlState::INVALID_CATALOG_NAME => Self::NoDatabase { server, detail },
            &SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly { server, detail },
            // As text: the code of the one that is not installed differs by release.
            _ if detail.contains("extension") => Self::NoExtension { server, detail },
            &SqlState::INSUFFICIENT_PRIVILEGE => Self::NotAllowed { server, detail },
            code if code.code().starts_with("28") => Self::Refused { server, detail },
            code if matches!(&code.code()[..2], "53" | "57") => Self::Unreachable { server, detail },
            _ => Self::Failed { server, detail },
        }
    }
}
