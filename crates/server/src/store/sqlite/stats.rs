//! What the writer and its followers do, in numbers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::metrics::{
    COUNTS, Counter, Histogram, LATENCIES, Page,
    names::{
        STORE_BATCH, STORE_CAPACITY, STORE_CHECKPOINT, STORE_COMMAND, STORE_COMMIT, STORE_FAILED, STORE_QUEUE,
        STORE_REFUSED, STORE_WAIT, STORE_WAL,
    },
};

/// Shared by the writer, the checkpoints, the readers, and whoever asks.
#[derive(Debug)]
pub(super) struct Stats {
    pub(super) waits: Histogram,
    pub(super) scan_waits: Histogram,
    /// Bytes of the write-ahead log after the last commit.
    pub(super) wal_bytes: AtomicU64,
    pub(super) commits: Histogram,
    pub(super) batches: Histogram,
    pub(super) checkpoints: Histogram,
    pub(super) failed: Counter,
    pub(super) writes_refused: Counter,
    pub(super) scans_refused: Counter,
    /// By the command's name. Only the writer adds to them, so its lock is hardly ever waited for.
    commands: Mutex<BTreeMap<&'static str, Histogram>>,
}

impl Default for Stats {
    fn default() -> Self {
        let times = || Histogram::new(&LATENCIES);
        Self {
            waits: times(),
            scan_waits: times(),
            wal_bytes: AtomicU64::new(0),
            commits: times(),
            batches: Histogram::new(&COUNTS),
            checkpoints: times(),
            failed: Counter::default(),
            writes_refused: Counter::default(),
            scans_refused: Counter::default(),
            commands: Mutex::default(),
        }
    }
}

impl Stats {
    /// Takes in how long a command ran.
    pub(super) fn ran(&self, command: &'static str, took: Duration) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.entry(command).or_insert_with(|| Histogram::new(&LATENCIES)).observe(took);
    }

    /// Puts all of it on the page. Of commands and of scans: how many wait, and how many may.
    pub(super) fn report(
        &self,
        page: &mut Page,
        (writes, writes_max): (usize, usize),
        (scans, scans_max): (usize, usize),
    ) {
        page.value(&STORE_QUEUE, &["write"], writes);
        page.value(&STORE_QUEUE, &["scan"], scans);
        page.value(&STORE_CAPACITY, &["write"], writes_max);
        page.value(&STORE_CAPACITY, &["scan"], scans_max);
        page.value(&STORE_REFUSED, &["write"], self.writes_refused.get());
        page.value(&STORE_REFUSED, &["scan"], self.scans_refused.get());
        for (command, times) in self.commands.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            page.histogram(&STORE_COMMAND, &[command], times);
        }
        page.histogram(&STORE_WAIT, &["write"], &self.waits);
        page.histogram(&STORE_WAIT, &["scan"], &self.scan_waits);
        page.histogram(&STORE_COMMIT, &[], &self.commits);
        page.histogram(&STORE_BATCH, &[], &self.batches);
        page.value(&STORE_FAILED, &[], self.failed.get());
        page.histogram(&STORE_CHECKPOINT, &[], &self.checkpoints);
        page.value(&STORE_WAL, &[], self.wal_bytes.load(Relaxed));
    }
}

/// A handle to share.
pub(super) type SharedStats = Arc<Stats>;
