//! One process a database file: SQLite itself would let two share it, and our caches would lie.
//!
//! The lock is on the database file itself, so it holds whatever name the file is opened by and
//! whoever removes the file beside it. It is `flock`'s, which SQLite's own locks do not touch.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{OpenError, open::beside};

/// Holds a database file until dropped. The kernel frees it when the process ends, however it ends.
///
/// It must be dropped after SQLite's connections: closing any handle of a file gives up the
/// process's other locks on it.
#[derive(Debug)]
pub struct FileLock {
    _database: File,
    /// The file beside it that has our pid, if there could be one.
    note: Option<File>,
}

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Owner {
    pub(super) fn of(data: &fs::Metadata) -> Self {
        Self { user: data.uid(), group: data.gid() }
    }
}

impl FileLock {
    /// Locks the file, making it for its owner alone if there is none, and writes our pid beside it if that can be.
    ///
    /// # Errors
    /// [`OpenError::Locked`] with the holder's pid, [`OpenError::CannotCreate`].
    pub fn acquire(database: &Path) -> Result<Self, OpenError> {
        let file = lock(&private(), database)?;
        Ok(Self { _database: file, note: write_note(&lock_path(database)) })
    }

    /// Locks the file if there is one, and writes nothing beside it: it is about to be replaced by a copy.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub(super) fn of_existing(file: &Path) -> Result<Option<Self>, OpenError> {
        match lock(OpenOptions::new().read(true), file) {
            Err(OpenError::CannotCreate { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            locked => locked.map(|file| Some(Self { _database: file, note: None })),
        }
    }

    /// Gives the file with the pid to who shall write the next one there. Whoever cannot goes without.
    pub(super) fn give_note_to(&self, owner: Owner) {
        if let Some(note) = &self.note {
            let _ = fchown(note, Some(owner.user), Some(owner.group));
        }
    }
}

/// Opens a database file and locks it.
fn lock(how: &OpenOptions, database: &Path) -> Result<File, OpenError> {
    let failed = |error| OpenError::CannotCreate { path: database.to_owned(), error };
    loop {
        let file = how.open(database).map_err(failed)?;
        match file.try_lock() {
            // A restore may have put another file in its place between the two.
            Ok(()) if is_still(&file, database) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // The holder may know the file by another name; then its pid is unknown, not wrong.
                let pid = fs::read_to_string(lock_path(database)).unwrap_or_default();
                let pid = if pid.trim().is_empty() { "(unknown)".into() } else { pid.trim().to_owned() };
                return Err(OpenError::Locked { path: database.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// As it is, or new and for its owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Writes our pid, for people and for `kill`: the lock holds without it. Root may be writing into the folder of another
/// user, so it writes to nothing that has another name too.
fn write_note(path: &Path) -> Option<File> {
    let mut note = private().custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path).ok()?;
    note.metadata().ok().filter(|data| data.is_file() && data.nlink() == 1)?;
    note.set_len(0).and_then(|()| writeln!(note, "{}", std::process::id())).ok()?;
    Some(note)
}

/// Whether `path` names this file.
pub(super) fn is_still(file: &File, path: &Path) -> bool {
    let id = |data: &fs::Metadata| (data.dev(), data.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(file), Ok(named)) if id(&file) == id(&named))
}

/// Where the pid of a database's server is written.
#[must_use]
pub fn lock_path(database: &Path) -> PathBuf {
    beside(database, ".lock")
}
