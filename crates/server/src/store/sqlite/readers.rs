//! Reads that never wait for the writer.
//!
//! Point reads run where they are asked for: a few microseconds on one of a handful of read-only
//! connections are cheaper than any hand-over to another thread. Reads that may take long run on
//! threads of their own and stop when nobody waits for them any more.

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{SYSTEM, error::closed, open, search_index, stats::SharedStats};
use crate::{
    backlog::{Backlog, Wait},
    store::{StoreError, traces},
};

/// Scans that may wait for a thread.
pub(super) const SCAN_QUEUE_MAX: usize = 1_024;
/// Steps of SQLite's virtual machine between two looks at whether a scan is still wanted.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

type Scan = Box<dyn FnOnce(&mut Connection) + Send>;

/// Read-only connections and the threads for scans.
#[derive(Debug)]
pub(super) struct Readers {
    slots: Box<[Mutex<Connection>]>,
    scans: Mutex<Option<SyncSender<Scan>>>,
    backlog: Arc<Backlog>,
    stats: SharedStats,
}

impl Readers {
    /// Opens `points` connections for point reads and `scans` threads with one each.
    pub(super) fn open(path: &Path, points: usize, scans: usize, stats: SharedStats) -> rusqlite::Result<Self> {
        let slots = (0..points.max(1)).map(|_| open::reader(path).map(Mutex::new)).collect::<Result<_, _>>()?;
        let (queue, jobs) = mpsc::sync_channel(SCAN_QUEUE_MAX);
        let jobs = Arc::new(Mutex::new(jobs));
        let backlog = Arc::new(Backlog::new(scans.max(1)));
        for number in 0..scans.max(1) {
            let (jobs, backlog, connection) = (Arc::clone(&jobs), Arc::clone(&backlog), open::reader(path)?);
            search_index::attach(&connection, path)?;
            let thread = thread::Builder::new().name(format!("sqlite-scan-{number}"));
            // Without a thread there is nobody to answer; the start must fail.
            thread.spawn(move || run_scans(&jobs, &backlog, connection)).map_err(|_| rusqlite::Error::InvalidQuery)?;
        }
        Ok(Self { slots, scans: Mutex::new(Some(queue)), backlog, stats })
    }

    /// Runs `read` here and now, on this thread's usual connection or another free one.
    pub(super) fn point<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        read(&self.lock_slot())
    }

    fn lock_slot(&self) -> MutexGuard<'_, Connection> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static THIS_THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed));
        let own = THIS_THREAD.with(|number| number % self.slots.len());
        for offset in 0..self.slots.len() {
            match self.slots[(own + offset) % self.slots.len()].try_lock() {
                Ok(connection) => return connection,
                // A statement is reset when it is dropped, by a panic too.
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.slots[own].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `read` on a scan thread. It is interrupted when the returned future is dropped.
    pub(super) async fn scan<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let span = traces::begin(SYSTEM, traces::name_of_closure::<F>);
        let unwanted = Unwanted::default();
        let flag = Arc::clone(&unwanted.0);
        let (reply, answer) = oneshot::channel();
        let (traced, stats, since) = (span.clone(), Arc::clone(&self.stats), Instant::now());
        let scan: Scan = Box::new(move |connection| {
            let begun = Instant::now();
            stats.scan_waits.observe(begun.duration_since(since));
            if !flag.load(Ordering::Relaxed) {
                let look = move || flag.load(Ordering::Relaxed);
                let result = connection
                    .progress_handler(STEPS_BETWEEN_LOOKS, Some(look))
                    .map_err(StoreError::from)
                    .and_then(|()| read(connection));
                if let Some(span) = traced {
                    span.record("wait", since, begun);
                    span.record("run", begun, Instant::now());
                }
                let _ = reply.send(result);
            }
        });
        let result = match self.submit(scan) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(closed())),
            Err(error) => Err(error),
        };
        if let Some(span) = span {
            span.conclude(&result);
        }
        result
    }

    fn submit(&self, scan: Scan) -> Result<(), StoreError> {
        let queue = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or_else(closed)?;
        // Before it is there, so that no thread takes one that was not counted.
        self.backlog.joined();
        queue.try_send(scan).map_err(|error| {
            self.backlog.left(1);
            match error {
                TrySendError::Full(_) => {
                    self.stats.scans_refused.increment();
                    StoreError::Busy
                }
                TrySendError::Disconnected(_) => closed(),
            }
        })
    }

    /// How many scans wait for a thread, and how many may.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.backlog.waiting(), SCAN_QUEUE_MAX)
    }

    /// How long a scan that joins now will wait; see [`Backlog::wait`].
    pub(super) fn wait(&self, ahead: usize) -> Wait {
        self.backlog.wait(ahead)
    }

    /// Lets the scan threads end.
    pub(super) fn close(&self) {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Raised when the caller's future is dropped.
#[derive(Default)]
struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn run_scans(jobs: &Mutex<Receiver<Scan>>, backlog: &Backlog, mut connection: Connection) {
    loop {
        // The lock is held while waiting: one thread waits for a job, the others for the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(scan) = job else { return };
        backlog.left(1);
        let started = Instant::now();
        // A panic costs this scan its answer, not the thread.
        drop(panic::catch_unwind(AssertUnwindSafe(|| scan(&mut connection))));
        backlog.took(started.elapsed());
    }
}
