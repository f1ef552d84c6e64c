//! A file in the making: beside the one that it becomes, for its owner alone, and gone if it is not finished.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    },
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};
use rustix::{fs::OFlags, process::geteuid};

use super::CopyError;
use crate::store::sqlite::{
    OpenError,
    files::{OF_SQLITE, remove_what_is_left_beside},
    lock::{Owner, is_still},
    open::{self, beside},
};

/// How its name ends, after a dot and [`RANDOM_DIGITS`].
const SUFFIX: &str = ".part";
/// Hexadecimal digits that nobody can foresee, so that nobody can have put something of that name there.
const RANDOM_DIGITS: usize = 16;

/// The file. It is new: what a kill has left behind is removed and not written to, for it may be a trap of another user.
pub(super) struct Part {
    path: PathBuf,
    target: PathBuf,
    /// Has the lock of those who write such files. Outlives every connection to it.
    file: File,
    finished: bool,
}

impl Part {
    pub(super) fn begin(target: &Path) -> Result<Self, CopyError> {
        sweep(target);
        loop {
            let random = getrandom::u64().map_err(|error| CopyError::cannot_write(target, error.into()))?;
            let path = beside(target, &format!(".{random:0RANDOM_DIGITS$x}{SUFFIX}"));
            let failed = |error| CopyError::cannot_write(&path, error);
            // `create_new` follows no symbolic link and opens nothing that is there.
            let file =
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) if is_still(&file, &path) => {
                    return Ok(Self { path, target: target.to_owned(), file, finished: false });
                }
                // Somebody has swept it between the two.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    let _ = fs::remove_file(&path);
                    return Err(failed(error));
                }
            }
        }
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

    /// Gives it to who shall read it: root restores what a server of another user reads.
    pub(super) fn give_to(&self, owner: Owner) -> Result<(), CopyError> {
        let give = || -> io::Result<()> {
            if Owner::of(&self.file.metadata()?) == owner {
                return Ok(());
            }
            fchown(&self.file, Some(owner.user), Some(owner.group))
        };
        give().map_err(|error| CopyError::cannot_write(&self.path, error))
    }

    /// Gives it its name, once it is on the disk. The log of what had that name must not be taken for its own.
    pub(super) fn finish(mut self) -> Result<(), CopyError> {
        let failed = |error| CopyError::cannot_write(&self.target, error);
        self.file.sync_all().map_err(failed)?;
        remove_what_is_left_beside(&self.target).map_err(|(path, error)| CopyError::cannot_write(&path, error))?;
        // After a power cut neither.
        sync_folder(&self.target).and_then(|()| fs::rename(&self.path, &self.target)).map_err(failed)?;
        self.finished = true;
        sync_folder(&self.target).map_err(|error| CopyError::cannot_write(&self.target, error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            remove(&self.path);
        }
    }
}

/// Removes a file that is not finished. If it stays, its name says what it is.
fn remove(path: &Path) {
    for suffix in OF_SQLITE {
        let _ = fs::remove_file(beside(path, suffix));
    }
    let _ = fs::remove_file(path);
}

/// Removes what a kill has left behind of earlier files for `target`: plain files of ours, which nobody has locked.
fn sweep(target: &Path) {
    let Ok(entries) = fs::read_dir(open::folder_of(target)) else { return };
    for entry in entries.flatten().filter(|entry| is_part_of(&entry.file_name(), target)) {
        let path = target.with_file_name(entry.file_name());
        let open =
            OpenOptions::new().read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32).open(&path);
        let Ok(file) = open else { continue };
        let is_ours = file.metadata().is_ok_and(|data| data.is_file() && data.uid() == geteuid().as_raw());
        if is_ours && file.try_lock().is_ok() {
            remove(&path);
        }
    }
}

/// Whether a file of this name was begun to become `target`.
fn is_part_of(name: &OsStr, target: &Path) -> bool {
    let middle = target.file_name().and_then(|target| name.as_bytes().strip_prefix(target.as_bytes()));
    let middle = middle.and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(SUFFIX.as_bytes()));
    middle.is_some_and(|random| random.len() == RANDOM_DIGITS && random.iter().all(u8::is_ascii_hexdigit))
}

/// Puts on the disk what names the folder of this file has.
pub(in crate::store::sqlite) fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(open::folder_of(file))?.sync_all()
}
