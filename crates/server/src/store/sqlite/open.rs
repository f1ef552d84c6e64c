//! From a path to connections that may be trusted: lock, checks, settings, schema.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    OpenError,
    files::{check_header, check_is_file},
    lock::FileLock,
    migrations::{self, APPLICATION_ID, COPYING_ID, NEWEST},
};

/// Files up to this size are checked whole before the start; larger ones while serving.
const CHECK_AT_START_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Statements that a connection keeps prepared. Filters make new texts, so the cache is bounded.
const STATEMENTS_MAX: usize = 64;
/// SQLite's own page cache, in KiB: for the writer, and for each reader. Nearly every commit has SQLite look at all pages
/// of the writer's (it renumbers one to the far end when it sorts siblings), and a larger one imported no faster.
const WRITER_CACHE_KIB: u32 = 16_384;
const READER_CACHE_KIB: u32 = 65_536;

/// What a database is kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file, with `-wal`, `-shm` and `.lock` beside it.
    File(PathBuf),
    /// Memory: gone with the process.
    Memory,
}

impl Location {
    /// The same place without symbolic links: two names of one file must meet in one lock. Refuses what is no file.
    pub(super) fn resolved(&self) -> Result<Self, OpenError> {
        let Self::File(path) = self else { return Ok(self.clone()) };
        let failed = |error| OpenError::CannotCreate { path: path.clone(), error };
        check_is_file(path)?;
        if let Ok(path) = path.canonicalize() {
            return Ok(Self::File(path));
        }
        let folder = folder_of(path);
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        Ok(Self::File(folder.canonicalize().map_err(failed)?.join(name)))
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file next to `path` whose name has `suffix` at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A database that passed its checks.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) lock: Option<FileLock>,
    /// The file is too large to check before the start; see [`check_whole`].
    pub(super) check_later: bool,
}

/// Locks, checks and migrates.
pub(super) fn open(location: &Location) -> Result<Opened, OpenError> {
    match location {
        Location::Memory => {
            let path = Path::new(":memory:");
            let open = || -> rusqlite::Result<Connection> {
                let writer = Connection::open_in_memory()?;
                writer.pragma_update(None, "foreign_keys", true)?;
                keep_statements(&writer)?;
                migrations::run(&writer)?;
                Ok(writer)
            };
            let writer = open().map_err(|error| OpenError::from_sqlite(path, &error))?;
            Ok(Opened { writer, lock: None, check_later: false })
        }
        Location::File(path) => open_file(path),
    }
}

fn open_file(path: &Path) -> Result<Opened, OpenError> {
    let size_bytes = fs::metadata(path).map_or(0, |meta| meta.len());
    if size_bytes == 0 {
        check_no_log(path)?;
    }
    check_is_ours(path)?;
    let lock = FileLock::acquire(path)?;
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let writer = Connection::open_with_flags(path, flags).map_err(failed)?;
    let keep_log = |keep| writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map_err(failed);

    // Closing a file that is refused must not move a log beside it into it.
    keep_log(true)?;
    let check_later = size_bytes > CHECK_AT_START_MAX_BYTES;
    if size_bytes > 0 {
        check_identity(path, &writer)?;
        if !check_later {
            check_whole(path, &writer)?;
        }
    }
    keep_log(false)?;
    let set_up = || -> rusqlite::Result<()> {
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "FULL")?;
        writer.pragma_update(None, "foreign_keys", true)?;
        // Checkpoints have a thread of their own.
        writer.pragma_update(None, "wal_autocheckpoint", 0)?;
        writer.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
        keep_statements(&writer)?;
        migrations::run(&writer)
    };
    set_up().map_err(failed)?;
    Ok(Opened { writer, lock: Some(lock), check_later })
}

/// Makes the file, if there is none, for its owner alone. SQLite gives the files beside it the same mode.
pub(super) fn make_private(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(OpenError::CannotCreate { path: path.to_owned(), error })
        }
        _ => Ok(()),
    }
}

/// Refuses a log without its database: SQLite would throw away the changes in it and begin anew.
pub(super) fn check_no_log(path: &Path) -> Result<(), OpenError> {
    let log = beside(path, "-wal");
    if fs::metadata(&log).map_or(0, |meta| meta.len()) == 0 {
        return Ok(());
    }
    let detail =
        format!("it is gone or empty, but {} has changes to it; to begin anew, move that away too", log.display());
    Err(OpenError::Damaged { path: path.to_owned(), detail })
}

/// Refuses files of other programs before anything is made beside them.
pub(super) fn check_is_ours(path: &Path) -> Result<(), OpenError> {
    if check_header(path)? {
        return Ok(());
    }
    let look = |locking: &str| -> Result<(), OpenError> {
        let open = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::ZERO)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.pragma_update(None, "locking_mode", locking)?;
            Ok(connection)
        };
        check_identity(path, &open().map_err(|error| OpenError::from_sqlite(path, &error))?)
    };
    // Who has a file alone keeps SQLite's index of its log in memory. Where that cannot be, another process has it open, and
    // the index is there already.
    for locking in ["EXCLUSIVE", "NORMAL"] {
        match look(locking) {
            Err(error @ OpenError::NotADatabase { .. }) => return Err(error),
            Ok(()) => break,
            // Whoever opens it to serve it comes upon this again, and has the lock to say it with.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Refuses files of other programs and of newer Rosters, and copies that are not finished.
pub(super) fn check_identity(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let pragma = |name| -> Result<i64, OpenError> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| OpenError::from_sqlite(path, &error))
    };
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| OpenError::from_sqlite(path, &error))?;
    if application == COPYING_ID {
        return Err(OpenError::HalfCopied { path: path.to_owned() });
    }
    if application != APPLICATION_ID && (application, found, tables) != (0, 0, 0) {
        let detail = "it is an SQLite database of another program".to_owned();
        return Err(OpenError::NotADatabase { path: path.to_owned(), detail });
    }
    if found > NEWEST {
        return Err(OpenError::NewerSchema { path: path.to_owned(), found, known: NEWEST });
    }
    Ok(())
}

/// Reads every page of the file and checks that they fit together.
pub(super) fn check_whole(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    check(path, connection, "quick_check")
}

/// The same, and that every index has what its table has.
pub(super) fn check_thoroughly(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    check(path, connection, "integrity_check")
}

fn check(path: &Path, connection: &Connection, how: &str) -> Result<(), OpenError> {
    let found: String = connection
        .query_row(&format!("PRAGMA {how}(1)"), [], |row| row.get(0))
        .map_err(|error| OpenError::from_sqlite(path, &error))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Damaged { path: path.to_owned(), detail: found }) }
}

/// A read-only connection to a file that [`open`] has prepared.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -i64::from(READER_CACHE_KIB))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Has the writer keep its statements, each as it was first prepared. Without that promise SQLite compares what is
/// bound with the conditions of partial indexes, and prepares such a statement anew whenever it is run. For lists that is
/// right: a filter for active administrators finds their index by it.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

#[cfg(test)]
mod tests {
    use rusqlite::{StatementStatus, params};

    use super::*;

    #[test]
    fn statements_are_not_prepared_anew_when_they_are_run() {
        let connection = open(&Location::Memory).unwrap().writer;
        // There is a partial index with a condition on the status.
        let mut statement = connection.prepare_cached("SELECT pk FROM users WHERE id = ?1 AND status = ?2").unwrap();
        for status in [1, 2, 1] {
            assert!(!statement.exists(params!["ada", status]).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
