//! The files of a database: which there are, and what is one of them. Nobody writes anything else over those.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use super::{
    OpenError,
    migrations::{APPLICATION_ID, COPYING_ID},
    open::beside,
};

/// Every SQLite file begins with this (<https://sqlite.org/fileformat2.html#the_database_header>).
pub const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of that header.
const HEADER_BYTES: usize = 100;
/// How a write-ahead log begins, in either byte order, and a rollback journal.
const LOG_MAGICS: [&[u8]; 3] = [b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"];

/// What SQLite keeps beside a file while it is open, and leaves there when it is killed.
pub(super) const OF_SQLITE: [&str; 3] = ["-journal", "-wal", "-shm"];
/// What the names of all files beside a database end with.
const BESIDE: [&str; 9] =
    ["-journal", "-wal", "-shm", "-search", "-search-journal", "-search-wal", "-search-shm", ".lock", ".sock"];

/// The database that a file is, or is a part of by its name or by what is in it. What is not there can be a part too: a
/// log of that name would be taken for the database's.
#[must_use]
pub fn database_of(path: &Path) -> Option<PathBuf> {
    let has_log_or_lock = ["-wal", "-shm", "-search", ".lock"].iter().any(|suffix| beside(path, suffix).exists());
    let header = read_header(path).unwrap_or_default();
    if has_log_or_lock || is_sqlite(&header) || LOG_MAGICS.iter().any(|magic| header.starts_with(magic)) {
        return Some(path.to_owned());
    }
    named_by(path)
}

/// The database that has a file of this name beside it.
pub(super) fn named_by(path: &Path) -> Option<PathBuf> {
    let name = path.as_os_str().as_bytes();
    let databases = BESIDE.iter().filter_map(|suffix| name.strip_suffix(suffix.as_bytes()));
    let mut databases = databases.map(|name| PathBuf::from(OsStr::from_bytes(name)));
    databases.find(|database| read_header(database).is_ok_and(|header| is_sqlite(&header)))
}

/// Whether `path` is one of the files beside the database, by whatever name.
pub(super) fn is_beside(path: &Path, database: &Path) -> bool {
    BESIDE.iter().any(|suffix| is_same(path, &beside(database, suffix)))
}

/// Whether both name one file.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path| fs::metadata(path).ok().map(|data| (data.dev(), data.ino()));
    id(one).is_some_and(|one| id(other) == Some(one))
}

/// The files beside `database` that a copy in its place would be read together with, if they are there.
pub(super) fn left_beside(database: &Path) -> impl Iterator<Item = PathBuf> {
    let index = beside(database, "-search");
    let of = |path: &Path| OF_SQLITE.map(|suffix| beside(path, suffix));
    of(database).into_iter().chain(of(&index)).chain([index])
}

/// Removes what would be read together with a copy in the place of `database`: it belongs to what was there before.
pub(super) fn remove_what_is_left_beside(database: &Path) -> Result<(), (PathBuf, io::Error)> {
    left_beside(database).try_for_each(|path| match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((path, error)),
        _ => Ok(()),
    })
}

/// What it is that has this name, if that is neither a file nor a folder: nothing of ours can be kept in it.
#[must_use]
pub fn kind_of_no_file(path: &Path) -> Option<&'static str> {
    let kind = fs::metadata(path).ok()?.file_type();
    if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("a device")
    } else {
        None
    }
}

/// Refuses what is no file. Opening a FIFO would wait for whoever writes to it.
pub(super) fn check_is_file(path: &Path) -> Result<(), OpenError> {
    match kind_of_no_file(path) {
        Some(kind) => Err(not_ours(path, &format!("it is {kind}, and a database is a file"))),
        None => Ok(()),
    }
}

/// Refuses files of other programs by their header. `false` of a file that can be anybody's by it.
pub(super) fn check_header(path: &Path) -> Result<bool, OpenError> {
    // Who cannot read it is told by who opens it.
    let Ok(header) = read_header(path) else { return Ok(true) };
    if header.is_empty() {
        return Ok(true);
    }
    if !is_sqlite(&header) {
        return Err(not_ours(path, "it is not an SQLite file"));
    }
    let number = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let (Some(pages), Some(application)) = (number(28), number(68).map(i64::from)) else { return Ok(true) };
    if [APPLICATION_ID, COPYING_ID].contains(&application) {
        return Ok(true);
    }
    // What is in a log comes after what is in the header.
    let is_all = OF_SQLITE.iter().all(|suffix| fs::metadata(beside(path, suffix)).map_or(0, |data| data.len()) == 0);
    if is_all && (pages > 1 || application != 0) {
        return Err(not_ours(path, "it is an SQLite database of another program"));
    }
    Ok(false)
}

fn not_ours(path: &Path, detail: &str) -> OpenError {
    OpenError::NotADatabase { path: path.to_owned(), detail: detail.to_owned() }
}

fn is_sqlite(header: &[u8]) -> bool {
    header.starts_with(SQLITE_MAGIC)
}

/// The header of a file, or as much as there is of it; nothing of what is no file.
///
/// # Errors
/// As those of opening and reading it.
pub fn read_header(path: &Path) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    if kind_of_no_file(path).is_none() {
        File::open(path)?.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    }
    Ok(header)
}
