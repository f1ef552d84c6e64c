//! What waits for the writer, and what of it has its turn.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::job::Job;
use crate::{backlog::Backlog, store::sqlite::stats::SharedStats};

/// Commands in one commit, at most and at least if so many wait; see [`Pace`].
pub(super) const BATCH_MAX: usize = 512;
const BATCH_MIN: usize = 16;
/// How long the commands of a batch may run even if a sync takes less.
const RUN_MIN: Duration = Duration::from_millis(1);
/// How long the writer stays awake for a caller whose last command came as soon as this.
const AWAKE_MAX: Duration = Duration::from_micros(200);
/// Bulk commands in one commit: a page that many of them change is written once. More would leave who sends them idle
/// until they are answered.
const BULK_MAX: usize = 16;
/// Bulk commands that wait apart. Those behind them wait where they are, in front of others, so this is far more than imports
/// have under way.
const BULK_WAITING_MAX: usize = 1_024;

/// How many commands go into a batch.
///
/// One that takes all that wait leaves the callers idle while it runs and the writer idle while they
/// are answered. So its commands run about as long as a sync takes: long enough to pay for it, and
/// short enough that the next batch gathers meanwhile.
pub(super) struct Pace {
    pub(super) batch: usize,
    /// How long the last commit took.
    pub(super) sync: Duration,
}

impl Pace {
    /// Takes in that a batch of so many commands took so long, its commit included.
    pub(super) fn learn(&mut self, commands: usize, took: Duration) {
        let each = took.saturating_sub(self.sync).as_nanos() / commands.max(1) as u128;
        let fitting = self.sync.max(RUN_MIN).as_nanos() / each.max(1);
        self.batch = usize::try_from(fitting).unwrap_or(BATCH_MAX).clamp(BATCH_MIN, BATCH_MAX);
    }
}

/// The jobs that wait. Those that are bulk, each of which takes as long as hundreds of others, wait apart: others go
/// before them, and wait for none of them but one that has begun.
pub(super) struct Queue {
    coming: mpsc::Receiver<Box<dyn Job>>,
    ordinary: VecDeque<Box<dyn Job>>,
    bulk: VecDeque<Box<dyn Job>>,
    /// How many bulk jobs the batch has.
    bulk_in_batch: usize,
    /// Whether a lone caller's last command came soon.
    soon: bool,
    backlog: Arc<Backlog>,
    stats: SharedStats,
}

impl Queue {
    pub(super) fn new(coming: mpsc::Receiver<Box<dyn Job>>, backlog: Arc<Backlog>, stats: SharedStats) -> Self {
        let (ordinary, bulk) = (VecDeque::new(), VecDeque::new());
        Self { coming, ordinary, bulk, bulk_in_batch: 0, soon: false, backlog, stats }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.ordinary.is_empty() && self.bulk.is_empty() && self.coming.is_empty()
    }

    /// Lets no more in.
    pub(super) fn close(&mut self) {
        self.coming.close();
    }

    /// How many bulk jobs the batch has.
    pub(super) fn bulk_in_batch(&self) -> usize {
        self.bulk_in_batch
    }

    /// Waits until somebody waits, and begins a batch with at most `max` jobs, or with a bulk job if only such wait. `false` at
    /// the end.
    pub(super) fn begin_batch(&mut self, jobs: &mut Vec<Box<dyn Job>>, max: usize) -> bool {
        self.bulk_in_batch = 0;
        if self.ordinary.is_empty() && self.bulk.is_empty() && !self.await_job() {
            return false;
        }
        self.sort(max);
        let since = Instant::now();
        for job in self.ordinary.drain(..max.min(self.ordinary.len())) {
            begin(&self.stats, since, job, jobs);
        }
        // The last job was not counted when it joined, as bulk jobs are not: nobody else waits for them.
        let counted = jobs.len() - jobs.iter().filter(|job| job.is_close()).count();
        self.backlog.left(counted);
        jobs.retain(|job| !job.is_abandoned());
        if jobs.is_empty() {
            // So that somebody is answered even if the transaction cannot begin.
            self.add_bulk(jobs);
        }
        true
    }

    /// Adds a bulk job to the batch: one in any case, and more while nobody else waits. `false` if it is to have no more.
    pub(super) fn add_bulk(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> bool {
        self.sort(1);
        if self.bulk_in_batch > 0 && (self.bulk_in_batch >= BULK_MAX || !self.ordinary.is_empty()) {
            return false;
        }
        while let Some(job) = self.bulk.pop_front() {
            if !job.is_abandoned() {
                self.bulk_in_batch += 1;
                begin(&self.stats, Instant::now(), job, jobs);
                return true;
            }
        }
        false
    }

    /// Puts those that have come where they are to wait, until `max` ordinary ones do.
    fn sort(&mut self, max: usize) {
        while self.ordinary.len() < max
            && self.bulk.len() < BULK_WAITING_MAX
            && let Ok(job) = self.coming.try_recv()
        {
            self.put(job);
        }
    }

    fn put(&mut self, job: Box<dyn Job>) {
        let queue = if job.is_bulk() { &mut self.bulk } else { &mut self.ordinary };
        queue.push_back(job);
    }

    /// Waits for a job; `false` at the end.
    ///
    /// To put a thread to sleep and to wake it costs a caller that writes one thing after the other as much as the sync, so
    /// the writer stays awake a little where the next command came soon the last time, and gives its core to whoever else
    /// can use it. Where many write at once there is always more to do, and nothing to wait for.
    fn await_job(&mut self) -> bool {
        let begun = Instant::now();
        while self.soon && self.coming.is_empty() && begun.elapsed() < AWAKE_MAX {
            thread::yield_now();
        }
        let Some(job) = self.coming.blocking_recv() else { return false };
        self.soon = self.coming.is_empty() && begun.elapsed() < AWAKE_MAX;
        self.put(job);
        true
    }
}

/// A job's turn has come.
fn begin(stats: &SharedStats, now: Instant, job: Box<dyn Job>, jobs: &mut Vec<Box<dyn Job>>) {
    if let Some(since) = job.since().filter(|_| !job.is_abandoned()) {
        stats.waits.observe(now.duration_since(since));
        if let Some(span) = job.span() {
            span.record("wait", since, now);
        }
    }
    jobs.push(job);
}
