//! A file that is copied from, while no server serves it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode};
use sha2::{Digest as _, Sha256};

use super::rows;
use crate::store::{
    copy::{self, CopyError, Mark, Table, Tables, Take},
    sqlite::{
        OpenError, feed,
        lock::FileLock,
        migrations::NEWEST,
        open::{self, Location},
    },
};

/// The file, with its server's lock.
pub(in crate::store) struct Source {
    path: PathBuf,
    /// In one read transaction.
    connection: Connection,
    /// Outlives the connection.
    _lock: FileLock,
}

impl Source {
    /// Locks it, and looks at every page. Writes nothing into it.
    pub(in crate::store) fn open(path: &Path) -> Result<Self, CopyError> {
        match fs::metadata(path) {
            Ok(data) if data.len() > 0 => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CopyError::CannotRead { database: path.display().to_string(), detail: error.to_string() });
            }
            _ => {
                open::check_no_log(path)?;
                return Err(CopyError::Absent(path.to_owned()));
            }
        }
        let Location::File(path) = Location::File(path.to_owned()).resolved()? else {
            return Err(CopyError::Absent(path.to_owned()));
        };
        open::check_is_ours(&path)?;
        let lock = FileLock::acquire(&path)?;
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(&path, &error);
        let connection = open::reader(&path).map_err(failed)?;
        open::check_identity(&path, &connection)?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if found != NEWEST {
            return Err(CopyError::Schema { database: path.display().to_string(), found, known: NEWEST });
        }
        // What is damaged here would be whole there.
        open::check_whole(&path, &connection)?;
        connection.execute_batch("BEGIN").map_err(failed)?;
        Ok(Self { path, connection, _lock: lock })
    }

    fn failed(&self, error: &rusqlite::Error) -> CopyError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                OpenError::from_sqlite(&self.path, error).into()
            }
            _ => CopyError::CannotRead { database: self.path.display().to_string(), detail: error.to_string() },
        }
    }
}

impl Tables for Source {
    fn count(&mut self, table: &Table) -> Result<u64, CopyError> {
        rows::count(&self.connection, table).map_err(|error| self.failed(&error))
    }

    fn read(&mut self, table: &'static Table, after: Option<&[u8]>, take: Take<'_>) -> Result<(), CopyError> {
        rows::read(&self.connection, table, after, take).map_err(|error| self.failed(&error))
    }
}

impl copy::Source for Source {
    fn mark(&mut self) -> Result<Mark, CopyError> {
        let read = || -> rusqlite::Result<Mark> {
            let sql = "SELECT value FROM secrets WHERE name = 'database'";
            let secret: Vec<u8> = self.connection.query_row(sql, [], |row| row.get(0))?;
            Ok(Mark { source: Sha256::digest(secret).into(), position: feed::newest(&self.connection)? })
        };
        read().map_err(|error| self.failed(&error))
    }

    /// The lock has kept everybody away.
    fn still_stands(&mut self) -> Result<(), CopyError> {
        Ok(())
    }
}
