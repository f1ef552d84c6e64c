//! SQLite's errors, classed: for commands as [`StoreError`], for the start as [`OpenError`].

use std::{io, path::PathBuf};

use rusqlite::{ErrorCode, ffi};

use crate::store::{StoreError, Unique};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => {
                conflict(&error, &text).map_or(Self::Internal(text), Self::Conflict)
            }
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted,
            ) => Self::Unavailable(text),
            _ => match error {
                // A row that was written by us and cannot be read by us.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..) => Self::Corrupt(text),
                _ => Self::Internal(text),
            },
        }
    }
}

/// What every command and query gets once the store is closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

/// Which unique column a failed insert or update ran into.
fn conflict(error: &rusqlite::Error, text: &str) -> Option<Unique> {
    let unique = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY];
    if !unique.contains(&error.sqlite_error()?.extended_code) {
        return None;
    }
    // SQLite says it only in the text: "UNIQUE constraint failed: users.email_key".
    [("users.email_key", Unique::Email), ("users.username_key", Unique::Username), ("users.id", Unique::Id)]
        .into_iter()
        .find_map(|(column, unique)| text.contains(column).then_some(unique))
}

/// Why a database file cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves the file.
    #[error("{} is in use by process {pid}", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
        /// The holder, as it wrote itself into the lock file.
        pid: String,
    },
    /// The file or its lock cannot be made or written.
    #[error("cannot create or write {}: {error}", path.display())]
    CannotCreate {
        /// The file in question.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is no SQLite database, or one of another program.
    #[error("{} is not a Roster database: {detail}", path.display())]
    NotADatabase {
        /// The database file.
        path: PathBuf,
        /// What was found instead.
        detail: String,
    },
    /// The file is damaged.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// A copy of another database that is not finished.
    #[error("{} is an unfinished copy of another database", path.display())]
    HalfCopied {
        /// The database file.
        path: PathBuf,
    },
    /// A newer Roster has migrated the file.
    #[error("{} has schema {found}, this Roster knows {known}", path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The file's schema version.
        found: i64,
        /// The newest that this binary knows.
        known: i64,
    },
    /// SQLite or the system failed in another way.
    #[error("cannot open {}: {detail}", path.display())]
    Failed {
        /// The database file.
        path: PathBuf,
        /// What failed.
        detail: String,
    },
}

impl OpenError {
    /// Classes what SQLite said while the file was opened.
    pub(super) fn from_sqlite(path: &std::path::Path, error: &rusqlite::Error) -> Self {
        let (path, detail) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path, detail },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, detail },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::DiskFull) => {
                Self::CannotCreate { path, error: io::Error::other(detail) }
            }
            _ => Self::Failed { path, detail },
        }
    }
}
