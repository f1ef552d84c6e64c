//! Checkpoints off the writer's path: copying the WAL into the database is a thread's own work.
//!
//! A passive checkpoint never waits for the writer nor makes it wait. But while writes go on it never
//! catches up wholly, and only a WAL that is copied wholly is started anew; one that grows makes every
//! sync dearer, for the file system has to find room. So after a pass of the thread the writer itself
//! copies the little that came meanwhile: when nobody waits for it, or when the WAL has become large.
//!
//! For the same reason the WAL stays small until there is load: most servers never have any, and a sync of a WAL that is
//! written over takes two thirds of the time. Under load a large one pays, because a page that many commits have changed is
//! copied once. It stays large then: the file keeps its size, and is written over all the same.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{self, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    OpenError,
    stats::{SharedStats, Stats},
};

/// Pages in the WAL at which the thread starts copying: 4 MiB, at SQLite's 4 KiB a page.
const BACKGROUND_AT_PAGES: u32 = 1_024;
/// The same once there was load: 64 MiB.
const LOADED_AT_PAGES: u32 = 16_384;
/// Pages of a commit that is load. A lone new user is seven or so.
const LOAD_PAGES: u32 = 64;
/// Pages in the WAL at which the writer makes its callers wait for the rest: 128 MiB.
const WRITER_AT_PAGES: u32 = 32_768;
/// Bytes of a page in the WAL, with its header.
const PAGE_BYTES: u64 = 4_096 + 24;
/// The writer's side: watches the WAL and wakes the thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// Pages in the WAL after the last commit, told by SQLite.
    wal_pages: Arc<AtomicU32>,
    /// Those at the last look.
    seen_pages: Cell<u32>,
    /// How many make the thread start.
    limit: Cell<u32>,
    /// The thread has made a pass that the writer has not finished yet.
    passed: Arc<AtomicBool>,
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    stats: SharedStats,
}

impl Checkpointer {
    /// Starts the thread with a connection of its own, and listens to the writer's commits.
    pub(super) fn start(database: &Path, writer: &mut Connection, stats: SharedStats) -> Result<Self, OpenError> {
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(database, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(database, flags).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;

        let wal_pages = Arc::new(AtomicU32::new(0));
        let (told, of_hook) = (Arc::clone(&wal_pages), Arc::clone(&stats));
        let hook = move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            let pages = u32::try_from(pages).unwrap_or(0);
            told.store(pages, Ordering::Relaxed);
            of_hook.wal_bytes.store(u64::from(pages) * PAGE_BYTES, Ordering::Relaxed);
            Ok(())
        };
        // The hook replaces SQLite's own automatic checkpoint, which would run in the writer.
        writer.wal_hook(Some(hook)).map_err(failed)?;

        let (wake, woken) = mpsc::sync_channel(1);
        let passed = Arc::new(AtomicBool::new(false));
        let pass = Arc::clone(&passed);
        let of_thread = Arc::clone(&stats);
        let run = move || {
            while woken.recv().is_ok() {
                checkpoint(&connection, "PASSIVE", &of_thread);
                pass.store(true, Ordering::Relaxed);
            }
        };
        let thread = thread::Builder::new().name("sqlite-checkpoint".into()).spawn(run);
        let thread = thread.map_err(|error| OpenError::Failed { path: database.into(), detail: error.to_string() })?;
        let (seen_pages, limit) = (Cell::new(0), Cell::new(BACKGROUND_AT_PAGES));
        Ok(Self { wal_pages, seen_pages, limit, passed, wake, thread, stats })
    }

    /// Looks at the WAL after a commit; `idle` if nobody waits for the writer.
    pub(super) fn after_commit(&self, writer: &Connection, idle: bool) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        let is_large = pages.saturating_sub(self.seen_pages.replace(pages)) >= LOAD_PAGES;
        if is_large || (!idle && pages >= BACKGROUND_AT_PAGES) {
            self.limit.set(LOADED_AT_PAGES);
        }
        if (idle || pages >= WRITER_AT_PAGES) && self.passed.swap(false, Ordering::Relaxed) {
            // A reader that still needs the WAL keeps it from starting anew: then there is another pass.
            checkpoint(writer, "PASSIVE", &self.stats);
        } else if pages >= self.limit.get() {
            match self.wake.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => tracing::error!("the checkpoint thread is gone"),
            }
        }
    }

    /// Ends the thread and leaves an empty WAL behind.
    pub(super) fn stop(self, writer: &Connection) {
        drop(self.wake);
        if self.thread.join().is_err() {
            tracing::error!("the checkpoint thread panicked");
        }
        // A reader that is still at it would make this wait, and the next start does the same.
        let _ = writer.busy_timeout(Duration::ZERO);
        checkpoint(writer, "TRUNCATE", &self.stats);
    }
}

fn checkpoint(connection: &Connection, mode: &str, stats: &Stats) {
    let started = Instant::now();
    let result = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    stats.checkpoints.observe(started.elapsed());
    if let Err(error) = result {
        // Nothing is lost: the WAL stays as it is and the next checkpoint takes it along.
        tracing::warn!(%error, mode, "a checkpoint failed");
    }
}
