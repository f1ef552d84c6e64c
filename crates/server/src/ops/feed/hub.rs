//! The hub: the one task that reads new changes from the store, for all watchers.
//!
//! It sleeps while nobody watches, so a write costs nothing more then; and it follows the store's newest position, so
//! whoever writes waits for nobody who watches.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::ring::{Piece, Ring};
use crate::store::{POSITIONS_SKIPPED, Store, StoreError};

/// Changes in one read.
const READ_MAX: u32 = 256;
/// How long to wait after a read that failed.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Hub {
    ring: Mutex<Ring>,
    /// How far the ring goes; wakes the watchers.
    upto: watch::Sender<i64>,
    /// How many watch; wakes the hub.
    watching: watch::Sender<usize>,
    /// Reads of the store, by the hub and by watchers.
    reads: AtomicU64,
    /// How far each watcher has come, by its number.
    reached: Mutex<BTreeMap<u64, Arc<AtomicI64>>>,
    /// The number of the next watcher.
    next: AtomicU64,
}

/// Why the hub ends.
struct Closed;

impl Hub {
    /// Starts the task on the runtime that this is called on.
    pub(super) fn start(store: Arc<dyn Store>) -> Arc<Self> {
        let (upto, watching) = (watch::Sender::new(0), watch::Sender::new(0));
        let (reads, next) = (AtomicU64::new(0), AtomicU64::new(0));
        let hub = Arc::new(Self { ring: Mutex::default(), upto, watching, reads, reached: Mutex::default(), next });
        tokio::spawn(Self::run(Arc::downgrade(&hub), hub.watching.subscribe(), store));
        hub
    }

    /// Keeps the hub awake until the guard is dropped; `None` if `max` watch already.
    pub(super) fn enter(self: &Arc<Self>, max: usize) -> Option<Awake> {
        let mut entered = false;
        self.watching.send_if_modified(|count| {
            entered = *count < max;
            *count += usize::from(entered);
            entered && *count == 1
        });
        entered.then(|| {
            let (number, reached) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::new(AtomicI64::new(0)));
            self.watchers().insert(number, Arc::clone(&reached));
            Awake { hub: Arc::clone(self), number, reached }
        })
    }

    /// How far each watcher has come.
    pub(super) fn places(&self) -> Vec<i64> {
        self.watchers().values().map(|reached| reached.load(Ordering::Relaxed)).collect()
    }

    /// Changes in the ring, and bytes that they take.
    pub(super) fn ring_size(&self) -> (usize, usize) {
        self.ring().size()
    }

    fn watchers(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<AtomicI64>>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells when the ring goes further.
    pub(super) fn progress(&self) -> watch::Receiver<i64> {
        self.upto.subscribe()
    }

    /// Up to `max` changes after a position, if the ring has them.
    pub(super) fn after(&self, position: i64, max: usize) -> Piece {
        self.ring().after(position, max)
    }

    /// Counts a read of the store.
    pub(super) fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// How many watch, and how often the store was read for them so far.
    pub(super) fn load(&self) -> (usize, u64) {
        (*self.watching.borrow(), self.reads.load(Ordering::Relaxed))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when the hub is dropped, so that nothing holds the store any more.
    async fn run(hub: Weak<Self>, mut watching: watch::Receiver<usize>, store: Arc<dyn Store>) {
        while watching.wait_for(|count| *count > 0).await.is_ok() {
            let Some(hub) = hub.upgrade() else { return };
            tokio::select! {
                Err(Closed) = hub.follow(&*store) => return,
                _ = watching.wait_for(|count| *count == 0) => {}
            }
            // What is not read on from here must not be taken for all there is.
            hub.start_anew(0);
        }
    }

    /// Takes what comes into the ring, until the store closes.
    async fn follow(&self, store: &dyn Store) -> Result<Infallible, Closed> {
        let mut newest = store.newest_position();
        let mut seen = *newest.borrow_and_update();
        let mut upto = seen;
        self.start_anew(upto);
        loop {
            let last = seen;
            match newest.wait_for(|newest| *newest > upto || *newest < last).await {
                Ok(newest) => seen = *newest,
                Err(_) => return Err(Closed),
            }
            if seen < last {
                // Another server of the database was promoted, and has not what is in the ring after this.
                upto = seen;
                self.start_anew(upto);
                continue;
            }
            self.count_read();
            match store.list_changes(upto, READ_MAX).await {
                Ok(page) if page.upto.saturating_sub(upto) >= POSITIONS_SKIPPED => {
                    // The same, and it goes on already. Whoever has come further than it had is told so by the store.
                    upto = page.upto;
                    self.start_anew(upto);
                }
                Ok(page) => {
                    upto = upto.max(page.upto);
                    self.ring().push(page);
                    self.upto.send_replace(upto);
                }
                Err(StoreError::Trimmed) => {
                    // Watchers find out for themselves what they have missed.
                    upto = *newest.borrow();
                    self.start_anew(upto);
                }
                Err(error) => {
                    tracing::warn!(%error, "the change feed could not be read; trying again");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    fn start_anew(&self, position: i64) {
        self.ring().reset(position);
        self.upto.send_replace(position);
    }
}

/// Somebody watches as long as this is there.
#[derive(Debug)]
pub(super) struct Awake {
    hub: Arc<Hub>,
    number: u64,
    /// How far the watcher has come.
    pub(super) reached: Arc<AtomicI64>,
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.hub.watchers().remove(&self.number);
        self.hub.watching.send_if_modified(|count| {
            *count -= 1;
            *count == 0
        });
    }
}
