//! How long who joins a queue now will wait, from what waits in it and how it moves.
//!
//! An estimate that every queue of ours keeps beside it, for who has to decide before a call joins. Nothing is locked, and
//! two threads that meet can at worst lose one measurement of the other.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// A new measurement counts for one part in this many.
const AVERAGE_OVER: u64 = 8;
/// Turns that somebody may wait in a queue that stands, and the least that this is taken to be: as long as calls that come in
/// crowds need for nobody to be idle between two of them.
const TURNS_IN_STANDING: u32 = 6;
const PATIENCE_MIN: Duration = Duration::from_millis(100);

/// How long who joins a queue now will wait there, and what queue that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// An estimate; nothing where nobody waits.
    pub expected: Duration,
    /// How long a turn takes.
    pub turn: Duration,
    /// How long it has been since all who waited had their turn at once.
    pub standing: Duration,
}

impl Wait {
    /// Whether it is too long where nobody is to wait longer than `max`.
    ///
    /// A crowd may wait so long. But a queue that has not become short for as long is no crowd: more comes than can be
    /// done, and a long queue would only make all of them wait that are let in. There it is to be no longer than it has to be
    /// for nobody to be idle.
    #[must_use]
    pub fn is_too_long(self, max: Duration) -> bool {
        let patience =
            if self.standing < max { max } else { (self.turn * TURNS_IN_STANDING).max(PATIENCE_MIN).min(max) };
        self.expected > patience
    }
}

/// What is known of a queue.
#[derive(Debug)]
pub(crate) struct Backlog {
    epoch: Instant,
    waiting: AtomicUsize,
    /// How many of those that wait have their turn together: as many as there are threads, or as a batch takes.
    at_once: AtomicUsize,
    /// Nanoseconds that a turn has lately taken, as a moving average; 0 if there was none.
    turn: AtomicU64,
    /// When the queue moved last, or ceased to be empty, in nanoseconds since the epoch.
    moved: AtomicU64,
    /// When all who waited had their turn at once the last time, or nobody waited, in nanoseconds since the epoch.
    short: AtomicU64,
}

impl Backlog {
    /// Of an empty queue, from which so many are taken at once.
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            epoch: Instant::now(),
            waiting: AtomicUsize::new(0),
            at_once: AtomicUsize::new(at_once),
            turn: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            short: AtomicU64::new(0),
        }
    }

    /// One has joined the queue.
    pub(crate) fn joined(&self) {
        if self.waiting.fetch_add(1, Relaxed) == 0 {
            self.move_on(0);
        }
    }

    /// So many have left it, because their turn has come or because they did not get in after all.
    pub(crate) fn left(&self, count: usize) {
        let before = self.waiting.fetch_sub(count, Relaxed);
        self.move_on(before.saturating_sub(count));
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// A turn is over.
    pub(crate) fn took(&self, turn: Duration) {
        let (new, average) = (nanos(turn), self.turn.load(Relaxed));
        let next = if average == 0 { new } else { average - average / AVERAGE_OVER + new / AVERAGE_OVER };
        self.turn.store(next, Relaxed);
    }

    /// From now on so many are taken at once.
    pub(crate) fn set_at_once(&self, at_once: usize) {
        self.at_once.store(at_once, Relaxed);
    }

    /// How long it takes until who joins now is done. `ahead` are known to be under way there, whether they have joined
    /// yet or not: a whole crowd may be let in before the first of it has got to the queue.
    ///
    /// Nothing if nobody waits: there may be no more to the last measurement than that one job was long, and if nobody
    /// were let in for it, there would never be another.
    pub(crate) fn wait(&self, ahead: usize) -> Wait {
        let at_once = self.at_once.load(Relaxed).max(1);
        let joined = self.waiting.load(Relaxed);
        let waiting = joined.max(ahead.saturating_sub(at_once));
        if waiting == 0 {
            return Wait::default();
        }
        // The turn that is under way, those of all who wait, and the newcomer's own.
        let turns = (waiting / at_once + 2) as u64;
        let turn = self.turn.load(Relaxed);
        let expected = turn.saturating_mul(turns);
        // A queue that has stood still for a while is as likely as not to stand still for as long again.
        let since = |then: &AtomicU64| if joined == 0 { 0 } else { self.now().saturating_sub(then.load(Relaxed)) };
        Wait {
            expected: Duration::from_nanos(expected.max(since(&self.moved))),
            turn: Duration::from_nanos(turn),
            standing: Duration::from_nanos(since(&self.short)),
        }
    }

    /// How long it takes until all who wait now, and those whose turn it is, are done.
    pub(crate) fn empty_in(&self) -> Duration {
        let turns = self.waiting().div_ceil(self.at_once.load(Relaxed).max(1)) + 1;
        Duration::from_nanos(self.turn.load(Relaxed).saturating_mul(turns as u64))
    }

    /// The queue has moved; so many wait now.
    fn move_on(&self, waiting: usize) {
        let now = self.now();
        self.moved.store(now, Relaxed);
        if waiting <= self.at_once.load(Relaxed) {
            self.short.store(now, Relaxed);
        }
    }

    fn now(&self) -> u64 {
        nanos(self.epoch.elapsed())
    }
}

/// The duration in nanoseconds; the most that there are room for if it is longer.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_wait_is_the_turns_before_and_the_own() {
        let backlog = Backlog::new(2);
        backlog.took(100_000 * MS);
        assert_eq!(backlog.wait(0).expected, Duration::ZERO, "nobody waits");
        (0..5).for_each(|_| backlog.joined());
        assert_eq!(backlog.wait(0).expected, 400_000 * MS);
        assert_eq!(backlog.empty_in(), 400_000 * MS, "the turn under way, and three more");
        backlog.set_at_once(5);
        assert_eq!(backlog.wait(0).expected, 300_000 * MS);
        backlog.left(4);
        assert_eq!(backlog.wait(0).expected, 200_000 * MS);
        backlog.left(1);
        assert_eq!(backlog.wait(5).expected, Duration::ZERO, "all of them have their turn at once");
        assert_eq!(backlog.wait(6).expected, 200_000 * MS, "one of those on their way will wait");
    }

    #[test]
    fn the_average_follows_what_is_measured() {
        let backlog = Backlog::new(1);
        backlog.joined();
        backlog.took(8_000_000 * MS);
        for _ in 0..100 {
            backlog.took(1_000_000 * MS);
        }
        let wait = backlog.wait(0).expected;
        assert!(wait >= 3_000_000 * MS && wait < 3_100_000 * MS, "{wait:?}");
    }

    #[test]
    fn a_queue_that_stands_still_is_not_expected_to_move() {
        let mut backlog = Backlog::new(1);
        backlog.took(MS);
        backlog.joined();
        backlog.epoch = Instant::now().checked_sub(5_000 * MS).unwrap_or_else(Instant::now);
        assert!(backlog.wait(0).expected >= backlog.epoch.elapsed() - 1_000 * MS && backlog.wait(0).expected > 2 * MS);
        backlog.left(1);
        backlog.joined();
        assert!(backlog.wait(0).expected < 1_000 * MS, "it moves again");
    }

    #[test]
    fn in_a_queue_that_stands_nobody_waits_long() {
        let mut backlog = Backlog::new(2);
        backlog.took(10 * MS);
        (0..100).for_each(|_| backlog.joined());
        assert!(!backlog.wait(0).is_too_long(1_000 * MS), "a crowd may wait");
        assert!(backlog.wait(0).is_too_long(500 * MS), "but not longer than anybody may");
        let stand = |backlog: &mut Backlog| {
            backlog.epoch = Instant::now().checked_sub(2_000 * MS).unwrap_or_else(Instant::now);
            backlog.left(2);
        };
        stand(&mut backlog);
        assert!(backlog.wait(0).is_too_long(1_000 * MS), "it has not become short for two seconds");
        backlog.left(80);
        assert_eq!(backlog.wait(0).expected, 110 * MS);
        assert!(backlog.wait(0).is_too_long(1_000 * MS), "more than six turns, and more than a tenth of a second");
        backlog.left(2);
        assert!(!backlog.wait(0).is_too_long(1_000 * MS));
        backlog.left(14);
        (0..98).for_each(|_| backlog.joined());
        assert!(!backlog.wait(0).is_too_long(1_000 * MS), "it has become short");
    }
}
