//! One process a database file: SQLite itself would let two share it, and our caches would lie.
//!
//! The lock is on the database file itself, so it holds whatever name the file is opened by and
//! whoever removes the file beside it. It is `flock`'s, which SQLite's own locks do not touch.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{OpenError, open::beside};

/// Holds a database file until dropped. The kernel frees it when the process ends, however it ends.
///
/// It must be dropped after SQLite's connections: closing any handle of a file gives up the
/// process's other locks on it.
#[derive(Debug)]
pub struct FileLock {
    _database: File,
}

impl FileLock {
    /// Locks the file, making it for its owner alone if there is none, and writes our pid beside it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] with the holder's pid, [`OpenError::CannotCreate`].
    pub fn acquire(database: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path, error| OpenError::CannotCreate { path: path.to_owned(), error };
        let private = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            options.open(path).map_err(|error| failed(path, error))
        };
        let path = lock_path(database);
        let file = loop {
            let file = private(database)?;
            match file.try_lock() {
                // A restore may have put another file in its place between the two.
                Ok(()) if is_still(&file, database) => break file,
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    // The holder may know the file by another name; then its pid is unknown, not wrong.
                    let pid = fs::read_to_string(&path).unwrap_or_default();
                    let pid = if pid.trim().is_empty() { "(unknown)".into() } else { pid.trim().to_owned() };
                    return Err(OpenError::Locked { path: database.to_owned(), pid });
                }
                Err(TryLockError::Error(error)) => return Err(failed(database, error)),
            }
        };
        let mut note = private(&path)?;
        note.set_len(0).map_err(|error| failed(&path, error))?;
        writeln!(note, "{}", std::process::id()).map_err(|error| failed(&path, error))?;
        Ok(Self { _database: file })
    }
}

/// Whether `path` names this file.
fn is_still(file: &File, path: &Path) -> bool {
    let id = |data: &fs::Metadata| (data.dev(), data.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(file), Ok(named)) if id(&file) == id(&named))
}

/// Where the pid of a database's server is written.
#[must_use]
pub fn lock_path(database: &Path) -> PathBuf {
    beside(database, ".lock")
}
