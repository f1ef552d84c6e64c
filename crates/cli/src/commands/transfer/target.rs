//! What a command writes users into: a file that nobody misses, or what takes whatever is written to it. Never a database.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use roster_server::store::sqlite::{database_of, kind_of_no_file};

use super::is_dash;
use crate::{error::CliError, exit::Exit};

/// Symbolic links that are followed, as many as Linux does.
const LINKS_MAX: usize = 40;

/// Where it goes.
#[derive(Debug)]
pub enum Place {
    /// Our own stdout, by whatever name.
    Stdout,
    /// A device, a FIFO or a terminal: it is written into, and stays what it is.
    Stream(PathBuf),
    /// A file, there or not: it is made anew.
    File(PathBuf),
}

impl Place {
    /// What `path` stands for, without symbolic links.
    ///
    /// # Errors
    /// If it is a database, a file that one needs beside it, or nothing that can be written.
    pub fn find(path: &Path) -> Result<Self, CliError> {
        if is_dash(path) || is_stdout(path) {
            return Ok(Self::Stdout);
        }
        let refused = |why: &str| CliError::new(Exit::CannotCreate, format!("cannot write {}: {why}", path.display()));
        if fs::metadata(path).is_ok_and(|data| data.file_type().is_socket()) {
            return Err(refused("it is a socket").hint("name a file, or - for stdout"));
        }
        if kind_of_no_file(path).is_some() {
            return Ok(Self::Stream(path.to_owned()));
        }
        let file = followed(path).map_err(|error| refused(&error.to_string()))?;
        if let Some(database) = database_of(&file) {
            let what = if database == file { "it is a database" } else { "it belongs to a database" };
            return Err(refused(what).hint("name another file: nothing of a database is ever written over"));
        }
        Ok(Self::File(file))
    }
}

/// Whether it is what our stdout is: `/dev/stdout` can be a file, and then a new file of its name would be none of its.
fn is_stdout(path: &Path) -> bool {
    let stdout = rustix::fs::fstat(io::stdout().as_fd());
    let (Ok(stdout), Ok(named)) = (stdout, fs::metadata(path)) else { return false };
    (stdout.st_dev, stdout.st_ino) == (named.dev(), named.ino())
}

/// What a path names in the end; that need not be there.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            // No link, or nothing.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// A new file, for its owner alone: users are nobody's business, and rows can have passwords in them.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Opens a device, a FIFO or a terminal. Waits for who reads a FIFO.
pub fn open_stream(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}
