//! The database file, its folder, its lock, and the room on its disk. Looks without opening the database.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use roster_server::{
    config::DatabaseUrl,
    store::sqlite::{APPLICATION_ID, COPYING_ID, NEWEST_SCHEMA, SQLITE_MAGIC, kind_of_no_file, read_header},
};
use rustix::fs::{Access, FlockOperation, access, flock, statvfs};

use super::{check::Check, io_failure};
use crate::exit::Exit;

/// Below this much room a server may stop writing within hours.
const ROOM_LOW_BYTES: u64 = 1 << 30;
/// Below this much room writes may fail at any moment.
const ROOM_OUT_BYTES: u64 = 64 << 20;

/// Looks at all of it. While a Roster runs, its lock is as it should be.
pub fn checks(url: &DatabaseUrl, roster_runs: bool) -> Vec<Check> {
    let Some(path) = url.path() else {
        return vec![Check::ok("database", "in memory; everything is gone when the server stops")];
    };
    // As the server would see it, wherever this is read.
    let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if let Some(kind) = kind_of_no_file(path) {
        let found = format!("{} is {kind}, and a database is a file", path.display());
        return vec![Check::fail(Exit::Data, "database file", found, "set database_url to another file")];
    }
    vec![file(path), self::folder(folder), lock(path, roster_runs), room(folder)]
}

fn file(path: &Path) -> Check {
    const NAME: &str = "database file";
    const RESTORE: &str = "put a backup in its place (roster restore BACKUP --force), start the Roster that wrote it, or set database_url to \
         another file";
    let shown = path.display();
    let header = match own_header(path) {
        Ok(header) => header,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Check::ok(NAME, format!("{shown} is not there yet; the first start makes it"));
        }
        Err(error) => {
            return io_failure(
                NAME,
                &format!("cannot read {shown}"),
                &error,
                "let the server's user read and write it",
            );
        }
    };
    match judge_header(&header, path) {
        Ok(found) => Check::ok(NAME, format!("{shown}: {found}")),
        Err(wrong) => Check::fail(Exit::Data, NAME, format!("{shown} {wrong}"), RESTORE),
    }
}

/// The header of a file that may be read and written.
fn own_header(path: &Path) -> io::Result<Vec<u8>> {
    let header = read_header(path)?;
    access(path, Access::READ_OK | Access::WRITE_OK)?;
    Ok(header)
}

fn judge_header(header: &[u8], path: &Path) -> Result<String, &'static str> {
    if header.is_empty() {
        return Ok("empty; the first start fills it".into());
    }
    if !header.starts_with(SQLITE_MAGIC) {
        return Err("is not a SQLite database");
    }
    let number = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let (Some(pages), Some(schema), Some(application)) = (number(28), number(60), number(68)) else {
        return Err("is cut off within its header");
    };
    let page_bytes = match [header[16], header[17]] {
        [0, 1] => 65_536,
        bytes => u64::from(u16::from_be_bytes(bytes)),
    };
    let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
    // While a write-ahead log holds pages, the file may rightly be shorter than its header says.
    let logged = fs::metadata(beside(path, "-wal")).is_ok_and(|metadata| metadata.len() > 0);
    if !logged && length < u64::from(pages) * page_bytes {
        return Err("is cut off: it is shorter than its header says");
    }
    let kib = length >> 10;
    if logged {
        // The log may hold a newer header than the file.
        return Ok(format!("SQLite, {kib} KiB, and changes in the log beside it"));
    }
    if i64::from(application) == COPYING_ID {
        return Err("is an unfinished copy of another database: let the same roster copy run to its end");
    }
    if i64::from(application) != APPLICATION_ID {
        return Err("is an SQLite database of another program");
    }
    if i64::from(schema) > NEWEST_SCHEMA {
        return Err("was written by a newer Roster");
    }
    Ok(format!("SQLite, schema {schema}, {kib} KiB"))
}

fn folder(folder: &Path) -> Check {
    const NAME: &str = "database folder";
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::ok(NAME, format!("{} can be written", folder.display())),
        Err(error) => Check::fail(
            Exit::CannotCreate,
            NAME,
            format!("cannot write in {}: {}", folder.display(), io::Error::from(error)),
            "create it, or let the server's user write in it: SQLite keeps its log beside the database",
        ),
    }
}

fn lock(path: &Path, roster_runs: bool) -> Check {
    const NAME: &str = "database lock";
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Check::ok(NAME, "free"),
        Err(error) => {
            return io_failure(
                NAME,
                &format!("cannot read {}", path.display()),
                &error,
                "let the server's user read it",
            );
        }
    };
    // Shared and given back at once, when `file` is closed.
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return Check::ok(NAME, "free");
    }
    // The pid is a courtesy of the holder; without it the lock holds all the same.
    let text = fs::read_to_string(beside(path, ".lock")).unwrap_or_default();
    let holder = text.split_whitespace().find_map(|word| word.parse::<u32>().ok());
    let holder = holder.map_or_else(String::new, |pid| format!(" with pid {pid}"));
    let found = format!("held by a server{holder}");
    if roster_runs {
        return Check::ok(NAME, found);
    }
    Check::warn(NAME, found, "stop it before you start another on this file")
}

fn room(folder: &Path) -> Check {
    const NAME: &str = "disk space";
    let (free, files_left) = match statvfs(folder) {
        // Some file systems have no such limit, and say that they have no files at all.
        Ok(disk) => {
            (disk.f_bavail.saturating_mul(disk.f_frsize), if disk.f_files == 0 { u64::MAX } else { disk.f_favail })
        }
        Err(error) => return Check::warn(NAME, format!("unknown: {}", io::Error::from(error)), "check it yourself"),
    };
    if files_left == 0 {
        let found = format!("no file can be made in {} any more", folder.display());
        return Check::fail(Exit::Io, NAME, found, "remove files nobody needs, or put the database on another disk");
    }
    let found = format!("{} MiB free in {}", free >> 20, folder.display());
    match free {
        ..ROOM_OUT_BYTES => Check::fail(Exit::Io, NAME, found, "make room, or put the database on another disk"),
        ROOM_OUT_BYTES..ROOM_LOW_BYTES => Check::warn(NAME, found, "make room soon"),
        _ => Check::ok(NAME, found),
    }
}

/// The file next to `path` whose name has `suffix` at its end.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    fn state_of(bytes: &[u8]) -> (State, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roster.db");
        fs::write(&path, bytes).unwrap();
        let check = file(&path);
        (check.state, check.found)
    }

    #[test]
    fn files_are_judged_by_their_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("real.db");
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(&format!(
                "CREATE TABLE t (x); PRAGMA user_version = 1; PRAGMA application_id = {APPLICATION_ID}"
            ))
            .unwrap();
        let real = fs::read(&path).unwrap();

        let (state, found) = state_of(&real);
        assert!(state == State::Ok && found.contains("schema 1"), "{found}");
        assert_eq!(state_of(b"").0, State::Ok);
        let with = |at: usize, number: u32| {
            let mut bytes = real.clone();
            bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
            bytes
        };
        for (bad, why) in [
            (&b"hello, I am a text file"[..], "not a SQLite database"),
            (&real[..50], "cut off within its header"),
            (&real[..real.len() - 1], "shorter than its header says"),
            (&with(60, 999), "a newer Roster"),
            (&with(68, 0), "another program"),
            (&with(68, COPYING_ID as u32), "an unfinished copy"),
        ] {
            let (state, found) = state_of(bad);
            assert!(state == State::Fail(Exit::Data) && found.contains(why), "{found}");
        }
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roster.db");
        assert_eq!(lock(&path, false), Check::ok("database lock", "free"));
        fs::write(beside(&path, ".lock"), "4711\n").unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(lock(&path, false).state, State::Ok, "a pid that is left over");
        let held = File::open(&path).unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let check = lock(&path, false);
        assert!(check.state == State::Warn && check.found.contains("pid 4711"), "{check:?}");
        assert_eq!(lock(&path, true).state, State::Ok, "the server that runs");
    }

    #[test]
    fn what_is_not_there_yet_is_fine_and_a_missing_folder_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let states =
            |path: PathBuf| checks(&DatabaseUrl::Sqlite(path), false).iter().map(|c| c.state).collect::<Vec<_>>();
        assert!(!states(folder.path().join("new.db")).iter().any(|state| matches!(state, State::Fail(_))));
        assert!(states(folder.path().join("no/new.db")).contains(&State::Fail(Exit::CannotCreate)));
        assert_eq!(checks(&DatabaseUrl::Memory, false).len(), 1);
    }
}
