//! One process a database file: SQLite itself would let two share it, and our caches would lie.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::OpenError;

/// Holds `<database>.lock` until dropped. The kernel frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock and writes our pid into it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] with the holder's pid, [`OpenError::CannotCreate`].
    pub fn acquire(database: &Path) -> Result<Self, OpenError> {
        let path = lock_path(database);
        let failed = |error| OpenError::CannotCreate { path: path.clone(), error };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The holder may not have written yet; then the pid is unknown, not wrong.
                let _ = file.read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "(unknown)".into() } else { pid.trim().to_owned() };
                return Err(OpenError::Locked { path: database.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Where the lock of a database file lies.
#[must_use]
pub fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
