//! The search index: every user's text and its trigrams, in a file of its own beside the database.
//!
//! It follows the change log on a thread of its own, in large bites, so a write pays nothing for
//! it. It may lag, or be missing: a search takes what has changed since the index's position into
//! account, and reads the users themselves if that is too much. Everything in it can be made anew
//! from the database, so it is not synced with every commit, and is dropped when it does not fit.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{
    Connection, OptionalExtension as _, params,
    types::{ToSqlOutput, ValueRef},
};

use super::{feed, open};
use crate::priority;

/// Changes taken in at once: many enough that FTS5 writes few segments, few enough to stop soon.
const BITE_MAX: i64 = 8_192;
/// Below a whole bite, the index waits until writes pause for this long.
const QUIET: Duration = Duration::from_millis(100);
/// Pages of the index that are written at once when segments are merged.
const MERGE_PAGES: i64 = 1_000;
/// Writes and reads come first: while the cores are busy the index lags, and searches do without.
const NICE: i32 = 10;
/// SQLite's page cache for the index in each thread that searches, in KiB: a sixth of the index of a million users.
const CACHE_KIB: u32 = 24_576;
/// The version of [`SCHEMA`]; an index of another one is made anew.
const VERSION: i64 = 4;

const SCHEMA: &str = "
    CREATE TABLE state (
        database BLOB NOT NULL,       -- the secret of the database that this is the index of
        built_pk INTEGER NOT NULL,    -- users up to here have been read, while not complete
        position INTEGER NOT NULL,    -- the last change that the index has taken in
        complete INTEGER NOT NULL     -- whether every user has been read once
    ) STRICT;
    CREATE VIRTUAL TABLE users_search USING fts5 (
        search_text, content = '', contentless_delete = 1, detail = 'none', tokenize = 'trigram case_sensitive 1'
    );
    -- What a user is found by, and its id, once more: a search looks at hundreds of users to give a page of twenty, and ten
    -- times as many of these lie on a page of the file.
    CREATE TABLE texts (pk INTEGER PRIMARY KEY, id ANY NOT NULL, search_text TEXT NOT NULL) STRICT;
    -- Memory for all of a bite, so that it is one segment.
    INSERT INTO users_search (users_search, rank) VALUES ('hashsize', 8388608);
    -- While writes go on, segments are merged many at a time, for what is merged often costs much; and a little of it with each
    -- bite, unless there are far too many of them.
    INSERT INTO users_search (users_search, rank) VALUES ('automerge', 16);
    INSERT INTO users_search (users_search, rank) VALUES ('crisismerge', 64);
    -- When there is time, two of a level are enough.
    INSERT INTO users_search (users_search, rank) VALUES ('usermerge', 2);";

/// Begins anew.
const FORGET: &str = "
    BEGIN;
    INSERT INTO users_search (users_search) VALUES ('delete-all');
    DELETE FROM texts;
    UPDATE state SET built_pk = 0, position = 0, complete = 0;
    COMMIT;";

/// The thread that keeps the index, and the way to wake it.
#[derive(Debug)]
pub(super) struct SearchIndex {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl SearchIndex {
    /// Opens or makes the index of `database`, whose schema is in place, and starts to follow it.
    pub(super) fn start(database: &Path) -> rusqlite::Result<Self> {
        let users = open::reader(database)?;
        let index = open_index(&path_of(database), &users)?;
        let (wake, woken) = mpsc::sync_channel(1);
        let follower = Follower { users, index };
        let thread = thread::Builder::new().name("sqlite-search".into());
        let thread = thread.spawn(move || follower.run(&woken)).map_err(|_| rusqlite::Error::InvalidQuery)?;
        // What was written before the last stop may not be in it yet.
        let _ = wake.try_send(());
        Ok(Self { wake, thread })
    }

    /// To call after a commit.
    pub(super) fn after_commit(&self) {
        // Full: it is awake already.
        let _ = self.wake.try_send(());
    }

    /// Ends the thread after the bite that it is at.
    pub(super) fn stop(self) {
        drop(self.wake);
        if self.thread.join().is_err() {
            tracing::error!("the search index's thread panicked");
        }
    }
}

/// Makes the index visible to a reader of the database, as the schema `search`.
pub(super) fn attach(connection: &Connection, database: &Path) -> rusqlite::Result<()> {
    let path = path_of(database);
    connection.execute("ATTACH ?1 AS search", [path.to_string_lossy()])?;
    connection.pragma_update(Some("search"), "cache_size", -i64::from(CACHE_KIB))
}

/// How far the index of an attached connection has come; `None` while it is being made.
pub(super) fn position(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT position FROM search.state WHERE complete";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()
}

/// The index's file.
pub(super) fn path_of(database: &Path) -> PathBuf {
    open::beside(database, "-search")
}

/// Opens the index, or makes a new one if there is none or it is not of this database as it is now.
fn open_index(path: &Path, users: &Connection) -> rusqlite::Result<Connection> {
    let database = users.query_row("SELECT value FROM secrets WHERE name = 'database'", [], |row| row.get(0))?;
    if let Ok(index) = connect(path)
        && fits(&index, &database, feed::newest(users)?).unwrap_or(false)
    {
        return Ok(index);
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "cannot remove an index that does not fit");
            }
            _ => {}
        }
    }
    if let Err(error) = open::make_private(path) {
        tracing::warn!(%error, "the search index keeps the mode that new files get");
    }
    let index = connect(path)?;
    index.execute_batch(SCHEMA)?;
    index.execute("INSERT INTO state VALUES (?1, 0, 0, 0)", [database])?;
    index.pragma_update(None, "user_version", VERSION)?;
    Ok(index)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let index = Connection::open(path)?;
    index.pragma_update(None, "journal_mode", "WAL")?;
    index.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(index)
}

/// Whether an index is of this database, and not ahead of it as it is after a backup was put back.
fn fits(index: &Connection, database: &[u8; 32], newest: i64) -> rusqlite::Result<bool> {
    let version: i64 = index.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        return Ok(false);
    }
    index.query_row("SELECT database, position FROM state", [], |row| {
        Ok(row.get::<_, [u8; 32]>(0)? == *database && row.get::<_, i64>(1)? <= newest)
    })
}

/// The thread's side.
struct Follower {
    users: Connection,
    index: Connection,
}

impl Follower {
    fn run(mut self, woken: &Receiver<()>) {
        priority::lower(NICE);
        while woken.recv().is_ok() {
            if let Err(error) = self.catch_up(woken) {
                // Searches go on without it; the next write wakes it to try again.
                tracing::error!(%error, "the search index cannot follow");
            }
        }
    }

    /// Takes in everything, in bites; less than a bite only when writes pause.
    fn catch_up(&mut self, woken: &Receiver<()>) -> rusqlite::Result<()> {
        loop {
            while !self.build()? {}
            let lag = self.lag()?;
            if lag == 0 {
                match woken.try_recv() {
                    Ok(()) => continue,
                    Err(mpsc::TryRecvError::Empty) if self.merge()? => continue,
                    Err(_) => return Ok(()),
                }
            }
            if lag < BITE_MAX && !matches!(woken.recv_timeout(QUIET), Err(RecvTimeoutError::Timeout)) {
                // More was written, or the end has come: then the next start takes in what is left.
                if matches!(woken.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
                    return Ok(());
                }
                // One look a while is enough while writes keep coming.
                thread::sleep(QUIET / 2);
                continue;
            }
            if !self.take_bite()? {
                self.index.execute_batch(FORGET)?;
            }
        }
    }

    /// Merges a few of the segments that bites have left: the fewer there are, the faster is a search. `false` if there
    /// is nothing left to merge.
    fn merge(&self) -> rusqlite::Result<bool> {
        const SQL: &str = "INSERT INTO users_search (users_search, rank) VALUES ('merge', ?1)";
        let before = self.index.total_changes();
        self.index.prepare_cached(SQL)?.execute([MERGE_PAGES])?;
        // FTS5's way to tell: the command itself is one change.
        Ok(self.index.total_changes() - before >= 2)
    }

    /// Changes that the index has not taken in.
    fn lag(&self) -> rusqlite::Result<i64> {
        let position: i64 = self.index.query_row("SELECT position FROM state", [], |row| row.get(0))?;
        Ok(feed::newest(&self.users)? - position)
    }

    /// Reads a bite of users into an index that is not complete; `true` once it is.
    fn build(&mut self) -> rusqlite::Result<bool> {
        let (built, complete): (i64, bool) =
            self.index.query_row("SELECT built_pk, complete FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if complete {
            return Ok(true);
        }
        let transaction = self.index.transaction()?;
        if built == 0 {
            // What changes from here on is taken in again afterwards.
            transaction.execute("UPDATE state SET position = ?1", [feed::newest(&self.users)?])?;
        }
        let mut users =
            self.users.prepare_cached("SELECT pk, id, search_text FROM users WHERE pk > ?1 ORDER BY pk LIMIT ?2")?;
        let mut rows = users.query([built, BITE_MAX])?;
        let mut last = built;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            put(&transaction, last, row.get_ref(1)?, row.get_ref(2)?)?;
        }
        transaction.execute("UPDATE state SET built_pk = ?1, complete = ?2", params![last, last == built])?;
        transaction.commit()?;
        Ok(last == built)
    }

    /// Takes in the next changes; `false`, and nothing is done, if some of them are in the log no more.
    fn take_bite(&mut self) -> rusqlite::Result<bool> {
        let transaction = self.index.transaction()?;
        let position: i64 = transaction.query_row("SELECT position FROM state", [], |row| row.get(0))?;
        let mut changes = self.users.prepare_cached(
            "SELECT c.position, c.user_pk, u.id, u.search_text FROM changes c LEFT JOIN users u ON u.pk = c.user_pk
             WHERE c.position > ?1 ORDER BY c.position LIMIT ?2",
        )?;
        let mut rows = changes.query([position, BITE_MAX])?;
        let mut last = position;
        while let Some(row) = rows.next()? {
            let next = row.get(0)?;
            if next != last + 1 {
                return Ok(false);
            }
            last = next;
            // The text is today's, not the change's: what matters is that it ends up right.
            match row.get_ref(2)? {
                ValueRef::Null => remove(&transaction, row.get(1)?)?,
                id => put(&transaction, row.get(1)?, id, row.get_ref(3)?)?,
            }
        }
        transaction.execute("UPDATE state SET position = ?1", [last])?;
        transaction.commit()?;
        Ok(true)
    }
}

/// Takes in a user as it is now. Most changes leave what it is found by as it was; but the `pk` of a user that was deleted
/// can be another's already.
fn put(index: &Connection, pk: i64, id: ValueRef<'_>, text: ValueRef<'_>) -> rusqlite::Result<()> {
    const KEEP: &str = "INSERT INTO texts (pk, id, search_text) VALUES (?1, ?2, ?3)
        ON CONFLICT (pk) DO UPDATE SET id = excluded.id, search_text = excluded.search_text
        WHERE search_text <> excluded.search_text OR id <> excluded.id";
    const INDEX: &str = "INSERT OR REPLACE INTO users_search (rowid, search_text) VALUES (?1, ?2)";
    let (id, text) = (ToSqlOutput::Borrowed(id), ToSqlOutput::Borrowed(text));
    if index.prepare_cached(KEEP)?.execute(params![pk, id, text])? > 0 {
        index.prepare_cached(INDEX)?.execute(params![pk, text])?;
    }
    Ok(())
}

/// Forgets a user that is gone.
fn remove(index: &Connection, pk: i64) -> rusqlite::Result<()> {
    if index.prepare_cached("DELETE FROM texts WHERE pk = ?1")?.execute([pk])? > 0 {
        index.prepare_cached("DELETE FROM users_search WHERE rowid = ?1")?.execute([pk])?;
    }
    Ok(())
}
