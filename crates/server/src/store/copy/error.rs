//! Why there is no copy, or none yet.

use std::path::PathBuf;

use super::TableCheck;
use crate::store::{postgres, sqlite};

/// Why a copy was not made, or not to its end. The source is as it was then, and no server starts on the destination.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A file that cannot be opened, or that a server serves.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// A PostgreSQL database that cannot be opened.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    /// There is nothing to copy.
    #[error("there is no database {}", .0.display())]
    Absent(PathBuf),
    /// There is a database, and nothing of Roster's in it.
    #[error("{database} is empty: there is nothing to copy")]
    EmptySource {
        /// The source.
        database: String,
    },
    /// Both are of one kind.
    #[error("the source and the destination are both {kind}")]
    OneKind {
        /// Of which.
        kind: &'static str,
    },
    /// The schema is not the one that this Roster copies.
    #[error("{database} has schema {found}, and this Roster copies schema {known}")]
    Schema {
        /// The database.
        database: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Somebody else is at work on a database.
    #[error("{database} is in use: {detail}")]
    InUse {
        /// The database.
        database: String,
        /// By whom.
        detail: String,
    },
    /// The destination holds something.
    #[error("{database} is not empty: {detail}")]
    NotEmpty {
        /// The destination.
        database: String,
        /// What is in it.
        detail: String,
    },
    /// A value that the other database cannot hold.
    #[error("a row of {table} cannot be copied: {detail}")]
    Unfit {
        /// The table.
        table: &'static str,
        /// What is wrong with it; without the value.
        detail: String,
    },
    /// A database cannot be read.
    #[error("cannot read {database}: {detail}")]
    CannotRead {
        /// The database.
        database: String,
        /// What it said.
        detail: String,
    },
    /// A database cannot be written.
    #[error("cannot write {database}: {detail}")]
    CannotWrite {
        /// The database.
        database: String,
        /// What it said.
        detail: String,
    },
    /// The destination does not have what the source has.
    #[error("the copy does not have what the source has: {}", differing(.0))]
    Differs(Vec<TableCheck>),
}

fn differing(checks: &[TableCheck]) -> String {
    let differs = checks.iter().filter(|check| !check.agrees());
    differs.map(|check| check.table).collect::<Vec<_>>().join(", ")
}
