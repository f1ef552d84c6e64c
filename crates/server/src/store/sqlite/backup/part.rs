//! A file in the making: beside the one that it becomes, for its owner alone, and gone if it is not finished.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::CopyError;
use crate::store::sqlite::{
    OpenError,
    open::{self, beside},
};

/// What SQLite leaves beside a file when it is killed. It would be taken for part of the next one.
const LEFT_BEHIND: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The file. One that a kill has left behind is begun anew; one that is being written is left alone.
pub(super) struct Part {
    path: PathBuf,
    target: PathBuf,
    /// Has the lock of those who write such files. Outlives every connection to it.
    file: File,
    finished: bool,
}

impl Part {
    pub(super) fn begin(target: &Path) -> Result<Self, CopyError> {
        let path = beside(target, ".part");
        let failed = |error| CopyError::cannot_write(&path, error);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CopyError::UnderWay(path)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_permissions(Permissions::from_mode(0o600)).and_then(|()| file.set_len(0)).map_err(failed)?;
        let part = Self { path, target: target.to_owned(), file, finished: false };
        part.clear()?;
        Ok(part)
    }

    fn clear(&self) -> Result<(), CopyError> {
        for suffix in LEFT_BEHIND {
            let path = beside(&self.path, suffix);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(CopyError::cannot_write(&path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Somebody else has it open.
    pub(super) fn busy(&self) -> CopyError {
        CopyError::UnderWay(self.path.clone())
    }

    /// What SQLite said of it.
    pub(super) fn failed(&self, error: &rusqlite::Error) -> CopyError {
        match OpenError::from_sqlite(&self.path, error) {
            OpenError::CannotCreate { path, error } => CopyError::CannotWrite { path, error },
            other => other.into(),
        }
    }

    /// A connection that writes to it without care for a kill: it is nothing yet.
    pub(super) fn open(&self) -> Result<Connection, CopyError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.pragma_update(None, "journal_mode", "OFF")?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            Ok(connection)
        };
        connect().map_err(|error| self.failed(&error))
    }

    /// Makes it one file: a copy of a database with a write-ahead log expects one beside it.
    pub(super) fn settle(&self, connection: &Connection) -> Result<(), CopyError> {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0));
        match mode.map_err(|error| self.failed(&error))?.as_str() {
            "delete" => Ok(()),
            mode => {
                let detail = format!("its journal stays in mode {mode}");
                Err(OpenError::Failed { path: self.path.clone(), detail }.into())
            }
        }
    }

    /// Gives it to whoever owns `other`, whose place it takes: root restores what a server of another user reads.
    pub(super) fn give_to_owner_of(&self, other: &Path) -> Result<(), CopyError> {
        let give = || -> io::Result<()> {
            let (own, other) = (self.file.metadata()?, fs::metadata(other)?);
            if (own.uid(), own.gid()) == (other.uid(), other.gid()) {
                return Ok(());
            }
            fchown(&self.file, Some(other.uid()), Some(other.gid()))
        };
        give().map_err(|error| CopyError::cannot_write(&self.path, error))
    }

    /// Gives it its name, once it is on the disk.
    pub(super) fn finish(mut self) -> Result<(), CopyError> {
        let failed = |error| CopyError::cannot_write(&self.target, error);
        self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.target)).map_err(failed)?;
        self.finished = true;
        sync_folder(&self.target).map_err(|error| CopyError::cannot_write(&self.target, error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // If they cannot be removed, their names say what they are.
            let _ = self.clear();
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Puts on the disk what names the folder of this file has.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(open::folder_of(file))?.sync_all()
}
