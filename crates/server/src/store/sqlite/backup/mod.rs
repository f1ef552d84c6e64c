//! Copies of a database file: [`backup()`] makes one while a server serves it, [`restore`] puts one in its place.
//!
//! Both copy page by page within one read transaction, so that a copy is the database as it was at one moment, whatever
//! is written meanwhile. A copy is made beside where it goes, checked whole, and only then given its name.

mod part;
mod restore;

use std::{
    fs, io, iter,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _,
    backup::{Backup, StepResult},
};

use rustix::fs::{Access, access};

use self::part::Part;
pub use self::restore::{RestoreOptions, Restored, restore};
pub(super) use self::{part::sync_folder, restore::owner_to_be};
use super::{OpenError, files, lock::FileLock, open};
use crate::model::Timestamp;

/// Pages that are copied at a time, 8 MiB: between them it is told how far it is.
const STEP_PAGES: i32 = 2_048;

/// Why there is no copy. Nothing was changed then, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A database cannot be read, or is locked, damaged, or not ours.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing to copy.
    #[error("there is no database {}", .0.display())]
    Absent(PathBuf),
    /// The copy would replace a file that a database needs beside it.
    #[error("{} belongs to the database {}", path.display(), database.display())]
    BelongsTo {
        /// The file.
        path: PathBuf,
        /// The database.
        database: PathBuf,
    },
    /// Something has that name already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The copy would replace what it is made of.
    #[error("{} is the database itself", .0.display())]
    SameFile(PathBuf),
    /// Another process copies to it or from it.
    #[error("another process is at work on {}", .0.display())]
    UnderWay(PathBuf),
    /// A database cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    CannotRead {
        /// The database.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    CannotWrite {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The copy does not have what the database has.
    #[error("the copy of {} has {found:?} instead of {expected:?}", path.display())]
    Differs {
        /// The database.
        path: PathBuf,
        /// What it has.
        expected: Contents,
        /// What the copy has.
        found: Contents,
    },
}

impl CopyError {
    fn cannot_write(path: &Path, error: io::Error) -> Self {
        Self::CannotWrite { path: path.to_owned(), error }
    }
}

/// What a database has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Users.
    pub users: u64,
    /// Rows of the change log.
    pub changes: u64,
    /// The last of them, from 1; 0 if there are none.
    pub position: i64,
    /// When that was written.
    pub changed_at: Option<Timestamp>,
    /// The size of the file.
    pub bytes: u64,
}

impl Contents {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let count = |table: &str| -> rusqlite::Result<u64> {
            let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        };
        let pragma = |name| -> rusqlite::Result<u64> {
            Ok(connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0))?.into())
        };
        let newest = "SELECT position, at FROM changes ORDER BY position DESC LIMIT 1";
        let newest = connection.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (position, changed_at) = newest.map_or((0, None), |(position, at)| (position, Some(at)));
        let bytes = pragma("page_count")? * pragma("page_size")?;
        Ok(Self { users: count("users")?, changes: count("changes")?, position, changed_at, bytes })
    }
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of the database have been copied.
    Copied {
        /// Bytes.
        bytes: u64,
        /// Of how many.
        of: u64,
    },
    /// All are; now every page of the copy is looked at.
    Checking,
}

/// Makes a copy of the database, which a server may be serving. Blocks.
///
/// # Errors
/// [`CopyError::Exists`] unless `replace`; what is in the way otherwise.
pub fn backup(
    database: &Path,
    to: &Path,
    replace: bool,
    tell: &mut dyn FnMut(Progress),
) -> Result<Contents, CopyError> {
    // What a symbolic link names is replaced, and not the link: two names of one file must meet in one lock.
    let to = &to.canonicalize().unwrap_or_else(|_| to.to_owned());
    refuse_files_of_databases(database, to)?;
    let may_go_there = || match what_is_there(to) {
        Some(path) if !replace => Err(CopyError::Exists(path)),
        _ => Ok(FileLock::of_existing(to)?),
    };
    let lock = may_go_there()?;
    let source = Source::open(database)?;
    let part = Part::begin(to)?;
    let contents = source.copy(&part, tell)?;
    // Somebody may have been faster.
    let _lock = if lock.is_none() { may_go_there()? } else { lock };
    part.finish()?;
    Ok(contents)
}

/// Whatever is to be replaced: the database that is copied, and what stands beside any, cannot be.
fn refuse_files_of_databases(database: &Path, to: &Path) -> Result<(), CopyError> {
    let belongs_to = |database: PathBuf| CopyError::BelongsTo { path: to.to_owned(), database };
    let resolved = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    if files::is_same(to, &resolved) {
        return Err(CopyError::SameFile(to.to_owned()));
    }
    if files::is_beside(to, &resolved) {
        return Err(belongs_to(resolved));
    }
    if let Some(other) = files::named_by(to) {
        return Err(belongs_to(other));
    }
    files::kind_of_no_file(to).map_or(Ok(()), |kind| {
        let error = io::Error::other(format!("it is {kind}, and a backup is a file"));
        Err(CopyError::cannot_write(to, error))
    })
}

/// What a copy of this name would replace, or be read together with.
fn what_is_there(to: &Path) -> Option<PathBuf> {
    iter::once(to.to_owned()).chain(files::left_beside(to)).find(|path| fs::symlink_metadata(path).is_ok())
}

fn exists(path: &Path) -> CopyError {
    CopyError::Exists(path.to_owned())
}

/// A database to copy.
struct Source<'a> {
    path: &'a Path,
    connection: Connection,
}

impl<'a> Source<'a> {
    /// Opens it to read, if it is one of ours.
    fn open(path: &'a Path) -> Result<Self, CopyError> {
        files::check_is_file(path)?;
        let unreadable = |error| CopyError::CannotRead { path: path.to_owned(), error };
        match fs::metadata(path) {
            Ok(data) if data.len() > 0 => access(path, Access::READ_OK).map_err(|error| unreadable(error.into()))?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unreadable(error)),
            _ => {
                open::check_no_log(path)?;
                return Err(CopyError::Absent(path.to_owned()));
            }
        }
        let connection = open::reader(path).map_err(|error| OpenError::from_sqlite(path, &error))?;
        open::check_identity(path, &connection)?;
        Ok(Self { path, connection })
    }

    /// Copies all of it as it is now, and looks at every page of the copy.
    fn copy(&self, part: &Part, tell: &mut dyn FnMut(Progress)) -> Result<Contents, CopyError> {
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(self.path, &error);
        // A copy within a read transaction never begins anew, however much is written meanwhile.
        self.connection.execute_batch("BEGIN").map_err(failed)?;
        let contents = Contents::read(&self.connection).map_err(failed)?;
        let mut copy = part.open()?;
        self.copy_pages(part, &mut copy, &contents, tell)?;
        self.connection.execute_batch("COMMIT").map_err(failed)?;

        tell(Progress::Checking);
        part.settle(&copy)?;
        // A page that is damaged was damaged before it was copied.
        open::check_thoroughly(self.path, &copy)?;
        let found = Contents::read(&copy).map_err(failed)?;
        if found != contents {
            return Err(CopyError::Differs { path: self.path.to_owned(), expected: contents, found });
        }
        Ok(contents)
    }

    fn copy_pages(
        &self,
        part: &Part,
        copy: &mut Connection,
        contents: &Contents,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), CopyError> {
        let copying = Backup::new(&self.connection, copy).map_err(|error| part.failed(&error))?;
        loop {
            let step = copying.step(STEP_PAGES).map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    OpenError::from_sqlite(self.path, &error).into()
                }
                // SQLite does not say on which side it was; the disk of the copy is the one that gets full.
                _ => part.failed(&error),
            })?;
            let progress = copying.progress();
            let done = f64::from(progress.pagecount - progress.remaining) / f64::from(progress.pagecount.max(1));
            tell(Progress::Copied { bytes: (contents.bytes as f64 * done) as u64, of: contents.bytes });
            match step {
                StepResult::Done => return Ok(()),
                StepResult::More => {}
                _ => return Err(part.busy()),
            }
        }
    }
}
