//! One worker's gate: how many calls wait for it, and how many may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use roster_api::access::LoadClass;

use super::Cause;
use crate::backlog::nanos;

/// If no call gets on sooner for an [`INTERVAL`], the worker is behind.
pub(super) const DELAY_MAX: Duration = Duration::from_millis(25);
/// How often the limit is adapted.
const INTERVAL: Duration = Duration::from_millis(100);
/// Calls that may wait for a worker: at first, at least and at most.
pub(super) const LIMIT_FIRST: usize = 4_096;
const LIMIT_MIN: usize = 64;
const LIMIT_MAX: usize = 65_536;
/// Behind fewer calls nobody waits long, and no clock is read.
const CROWD: usize = 16;
/// In a crowd, one in so many looks at the clock, beginning with the first.
const SAMPLED: usize = 8;
/// As many of them tell a standing queue from a moment's.
const SAMPLES_MIN: usize = 3;
/// After so long without one, what was measured before says nothing of now.
const QUIET: Duration = Duration::from_millis(200);
/// How many classes there are.
pub(super) const CLASSES: usize = 6;
/// The limit is shared out in these parts. One of them is each class's own, whatever the others take.
const PARTS: usize = 8;

/// The parts of the limit up to which calls of a class are let in.
fn parts(class: LoadClass) -> usize {
    match class {
        LoadClass::Vital => 2 * PARTS,
        LoadClass::Read => PARTS,
        LoadClass::Write => 6,
        LoadClass::Stream => 5,
        LoadClass::Bulk => 4,
        LoadClass::Hash => 3,
    }
}

/// A worker's limit. Only its thread writes to it, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Gate {
    waiting: AtomicUsize,
    /// Those of each class, by its number.
    of_class: [AtomicUsize; CLASSES],
    limit: AtomicUsize,
    epoch: Instant,
    /// Calls of this crowd that got on; 0 if there is none.
    turn: AtomicUsize,
    /// The latest delay, and when it was measured, in nanoseconds (since the epoch).
    delay: AtomicU64,
    measured: AtomicU64,
    /// When the interval began, in nanoseconds since the epoch, and its shortest delay, greatest crowd and measurements.
    began: AtomicU64,
    shortest: AtomicU64,
    crowd: AtomicUsize,
    samples: AtomicUsize,
}

/// What a call holds that was let in, until it takes its first step.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    class: LoadClass,
}

impl Place {
    /// Calls of the same class that were let in and are yet to get on, besides this one.
    pub(crate) fn ahead(&self) -> usize {
        self.gate.of_class(self.class).saturating_sub(1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(1, Relaxed);
        self.gate.of_class[self.class as usize].fetch_sub(1, Relaxed);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            of_class: Default::default(),
            limit: AtomicUsize::new(LIMIT_FIRST),
            epoch: Instant::now(),
            turn: AtomicUsize::new(0),
            delay: AtomicU64::new(0),
            measured: AtomicU64::new(0),
            began: AtomicU64::new(0),
            shortest: AtomicU64::new(u64::MAX),
            crowd: AtomicUsize::new(0),
            samples: AtomicUsize::new(0),
        }
    }
}

impl Gate {
    /// Lets a call in, or not.
    pub(crate) fn admit(self: &Arc<Self>, class: LoadClass) -> Result<Place, Cause> {
        let limit = self.limit();
        // What others take must not shut a class out for good.
        if self.waiting() >= limit * parts(class) / PARTS && self.of_class(class) >= limit / PARTS {
            return Err(Cause::Worker);
        }
        self.waiting.fetch_add(1, Relaxed);
        self.of_class[class as usize].fetch_add(1, Relaxed);
        Ok(Place { gate: Arc::clone(self), class })
    }

    /// How long a call that comes now waits for its first step; nothing unless there is a crowd.
    pub(crate) fn delay(&self) -> Duration {
        self.delay_by(Instant::now)
    }

    /// Whoever is refused for the delay does not measure it, so it must not be believed for longer than it stands.
    fn delay_by(&self, clock: impl FnOnce() -> Instant) -> Duration {
        if self.waiting() < CROWD {
            return Duration::ZERO;
        }
        let delay = Duration::from_nanos(self.delay.load(Relaxed));
        if delay > Duration::ZERO && self.since_measured(self.since_epoch(clock())) > nanos(INTERVAL) {
            return Duration::ZERO;
        }
        delay
    }

    /// A call that came at this time gets on.
    pub(crate) fn gets_on(&self, came: Instant) {
        self.gets_on_by(came, Instant::now);
    }

    fn gets_on_by(&self, came: Instant, clock: impl FnOnce() -> Instant) {
        let waiting = self.waiting();
        let turn = self.turn.load(Relaxed);
        if waiting < CROWD {
            if turn != 0 {
                self.turn.store(0, Relaxed);
                self.delay.store(0, Relaxed);
            }
            return;
        }
        self.turn.store(turn.wrapping_add(1), Relaxed);
        if turn.is_multiple_of(SAMPLED) {
            let now = clock();
            self.note(self.since_epoch(now), nanos(now.saturating_duration_since(came)), waiting);
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    fn of_class(&self, class: LoadClass) -> usize {
        self.of_class[class as usize].load(Relaxed)
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }

    fn since_measured(&self, now: u64) -> u64 {
        now.saturating_sub(self.measured.load(Relaxed))
    }

    fn note(&self, now: u64, delay: u64, waiting: usize) {
        let since = self.since_measured(now);
        self.delay.store(delay, Relaxed);
        self.measured.store(now, Relaxed);
        let is_late = since > nanos(QUIET);
        // Who gets on now was waiting at the last measurement already: that was long ago because the worker is slow, and
        // not because it was quiet.
        let has_stood = delay >= since;
        if is_late && !has_stood {
            self.limit.store(drifted(self.limit(), since), Relaxed);
            return self.store_interval(now, delay, waiting, 1);
        }
        let shortest = self.shortest.load(Relaxed).min(delay);
        let crowd = self.crowd.load(Relaxed).max(waiting);
        let samples = self.samples.load(Relaxed) + 1;
        // Each measurement of a slow worker is an interval of its own, or one stall would be taken for a standing queue.
        let began = if is_late { now } else { self.began.load(Relaxed) };
        if samples < SAMPLES_MIN || !is_late && now.saturating_sub(began) < nanos(INTERVAL) {
            return self.store_interval(began, shortest, crowd, samples);
        }
        self.limit.store(adapted(self.limit(), shortest, crowd), Relaxed);
        self.store_interval(now, u64::MAX, 0, 0);
    }

    /// The interval that began then, as far as it is known.
    fn store_interval(&self, began: u64, shortest: u64, crowd: usize, samples: usize) {
        self.began.store(began, Relaxed);
        self.shortest.store(shortest, Relaxed);
        self.crowd.store(crowd, Relaxed);
        self.samples.store(samples, Relaxed);
    }
}

/// The limit after a time without crowds: each second takes it half of the way back to the first.
fn drifted(limit: usize, quiet: u64) -> usize {
    let halvings = u32::try_from(quiet / nanos(Duration::from_secs(1))).unwrap_or(u32::MAX).min(usize::BITS - 1);
    let off = limit.abs_diff(LIMIT_FIRST) >> halvings;
    if limit < LIMIT_FIRST { LIMIT_FIRST - off } else { LIMIT_FIRST + off }
}

/// The next limit, after an interval with this shortest delay and greatest crowd.
fn adapted(limit: usize, shortest: u64, crowd: usize) -> usize {
    if shortest > nanos(DELAY_MAX) {
        let fitting = limit as u64 * nanos(DELAY_MAX) / shortest;
        (fitting as usize).max(limit / 2).max(LIMIT_MIN)
    } else if crowd * 2 > limit {
        (limit + limit / 8 + 1).min(LIMIT_MAX)
    } else {
        limit
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MS: u64 = 1_000_000;

    fn fill(gate: &Arc<Gate>, class: LoadClass) -> Vec<Place> {
        std::iter::from_fn(|| gate.admit(class).ok()).collect()
    }

    #[test]
    fn the_last_classes_are_refused_first_and_places_come_back() {
        let gate = Arc::new(Gate::default());
        let mut held = Vec::new();
        let order = [LoadClass::Hash, LoadClass::Bulk, LoadClass::Stream, LoadClass::Write, LoadClass::Read];
        for (index, class) in order.into_iter().enumerate() {
            held.extend(fill(&gate, class));
            for refused in &order[..=index] {
                assert!(gate.admit(*refused).is_err(), "{refused:?} after {class:?}");
            }
        }
        assert_eq!(gate.waiting(), LIMIT_FIRST);
        held.extend(fill(&gate, LoadClass::Vital));
        assert_eq!(held.len(), 2 * LIMIT_FIRST);
        drop(held);
        assert_eq!(gate.waiting(), 0);
    }

    #[test]
    fn no_class_takes_the_places_of_all_others() {
        let gate = Arc::new(Gate::default());
        let mut held = fill(&gate, LoadClass::Vital);
        assert_eq!(held.len(), 2 * LIMIT_FIRST);
        for class in [LoadClass::Read, LoadClass::Write, LoadClass::Stream, LoadClass::Bulk, LoadClass::Hash] {
            let own = fill(&gate, class);
            assert_eq!(own.len(), LIMIT_FIRST / PARTS, "{class:?}");
            held.extend(own);
        }
        drop(held);
        assert_eq!((gate.waiting(), gate.of_class(LoadClass::Hash)), (0, 0));
    }

    #[test]
    fn a_call_is_on_its_way_until_it_gets_on_or_is_given_up() {
        let gate = Arc::new(Gate::default());
        let write = gate.admit(LoadClass::Write).unwrap();
        let mut places: Vec<_> = (0..3).map(|_| gate.admit(LoadClass::Bulk).unwrap()).collect();
        assert_eq!((places[0].ahead(), write.ahead()), (2, 0));
        places.pop();
        assert_eq!((places[0].ahead(), gate.waiting()), (1, 3));
        drop((places, write));
        assert_eq!((gate.of_class(LoadClass::Bulk), gate.waiting()), (0, 0));
    }

    /// Lets in whom a worker would at this time, one who waits at most a second; see `rpc::admission`.
    fn come(gate: &Arc<Gate>, now: Instant) -> Option<Place> {
        let place = gate.admit(LoadClass::Read).ok()?;
        (gate.delay_by(|| now) <= Duration::from_secs(1)).then_some(place)
    }

    fn crowd(gate: &Arc<Gate>, now: Instant) -> Vec<Place> {
        (0..4 * CROWD).map_while(|_| come(gate, now)).collect()
    }

    /// All of them get on.
    fn get_on(gate: &Gate, places: Vec<Place>, came: Instant, now: Instant) {
        for place in places {
            gate.gets_on_by(came, || now);
            drop(place);
        }
    }

    #[test]
    fn a_crowd_after_a_stall_is_let_in() {
        let gate = Arc::new(Gate::default());
        let at = |ms| gate.epoch + Duration::from_millis(ms);
        let stalled = crowd(&gate, at(0));
        assert_eq!(stalled.len(), 4 * CROWD);
        get_on(&gate, stalled, at(0), at(2_000));
        // At once, because the last crowd is gone, and its first call is measured.
        let next = crowd(&gate, at(2_001));
        assert_eq!(next.len(), 4 * CROWD);
        get_on(&gate, next, at(2_001), at(2_002));
        assert_eq!(gate.limit(), LIMIT_FIRST, "a stall is no standing queue");
    }

    #[test]
    fn a_delay_counts_while_it_is_new_and_no_longer() {
        let gate = Arc::new(Gate::default());
        let at = |ms| gate.epoch + Duration::from_millis(ms);
        let mut stalled = crowd(&gate, at(0));
        gate.gets_on_by(at(0), || at(2_000));
        // All but the last few give up: none of these gets on, and nothing is measured.
        stalled.truncate(CROWD - 1);
        assert!(come(&gate, at(2_050)).is_none());
        assert_eq!(gate.waiting(), CROWD - 1, "whoever is refused gives the place back");
        assert_eq!(crowd(&gate, at(2_150)).len(), 4 * CROWD);
    }

    #[test]
    fn a_quiet_time_is_no_evidence() {
        let gate = Gate::default();
        let second = 1_000 * MS;
        gate.note(second, 50 * MS, 2_000);
        gate.note(5 * second, 50 * MS, 2_000);
        gate.note(5 * second + 150 * MS, 50 * MS, 2_000);
        assert_eq!(gate.limit(), LIMIT_FIRST, "neither one measurement nor two lower it");
        gate.note(5 * second + 160 * MS, 50 * MS, 2_000);
        assert_eq!(gate.limit(), LIMIT_FIRST / 2);
        // Back to the first limit, the faster the further off.
        gate.note(6 * second + 160 * MS, 0, CROWD);
        assert_eq!(gate.limit(), LIMIT_FIRST / 4 * 3);
        gate.note(60 * second, 0, CROWD);
        assert_eq!(gate.limit(), LIMIT_FIRST);
        assert_eq!(drifted(LIMIT_MAX, 3_600 * second), LIMIT_FIRST);
    }

    /// A worker that takes so long for a call, with more coming all the time than may wait, for this many calls.
    fn flood(gate: &Arc<Gate>, each: Duration, calls: usize) {
        let (mut now, mut queue) = (gate.epoch, VecDeque::new());
        for _ in 0..calls {
            queue.extend(std::iter::from_fn(|| Some((gate.admit(LoadClass::Read).ok()?, now))));
            now += each;
            if let Some((place, came)) = queue.pop_front() {
                gate.gets_on_by(came, || now);
                drop(place);
            }
        }
    }

    #[test]
    fn a_worker_so_slow_that_it_is_seldom_measured_lowers_its_limit_too() {
        for each in [30, 100, 1_000].map(Duration::from_millis) {
            assert!(each * SAMPLED as u32 > QUIET);
            let gate = Arc::new(Gate::default());
            flood(&gate, each, 2 * LIMIT_FIRST);
            assert_eq!(gate.limit(), LIMIT_MIN, "{each:?}");
        }
    }

    #[test]
    fn a_standing_queue_lowers_the_limit_and_a_passing_one_does_not() {
        let gate = Gate::default();
        // Calls get on after 50 ms, all of them, for a second.
        for step in 1..=100 {
            gate.note(step * 10 * MS, 50 * MS, 2_000);
        }
        assert!((LIMIT_MIN..LIMIT_FIRST / 8).contains(&gate.limit()), "{}", gate.limit());
        // One in ten gets on at once: bursts, which the worker has done by the next.
        let low = gate.limit();
        for step in 101..=200 {
            gate.note(step * 10 * MS, if step % 10 == 0 { 0 } else { 50 * MS }, low);
        }
        assert!(gate.limit() > low, "{} after {low}", gate.limit());
    }

    #[test]
    fn a_limit_grows_only_if_it_is_used_and_stays_in_its_bounds() {
        assert_eq!(adapted(1_000, 0, 400), 1_000);
        assert_eq!(adapted(1_000, 0, 600), 1_126);
        assert_eq!(adapted(LIMIT_MAX, 0, LIMIT_MAX), LIMIT_MAX);
        assert_eq!(adapted(LIMIT_MIN, u64::MAX, 0), LIMIT_MIN);
        assert_eq!(adapted(1_000, 10_000 * MS, 0), 500, "never by more than half at once");
        assert_eq!(adapted(1_000, 50 * MS, 0), 500);
        assert_eq!(adapted(1_000, 30 * MS, 0), 833);
    }

    /// Overload by arithmetic: a worker that does a call in 100 µs, with ten times as many coming as it can do.
    #[test]
    fn the_limit_settles_where_the_delay_is_what_it_may_be() {
        const STEP: u64 = MS;
        const DONE: usize = 10;
        let (gate, mut waiting) = (Gate::default(), 0_usize);
        for step in 1..=10_000 {
            waiting = (waiting + 10 * DONE).min(gate.limit());
            let delay = waiting as u64 * STEP / DONE as u64;
            gate.note(step * STEP, delay, waiting);
            waiting -= DONE.min(waiting);
        }
        let delay = Duration::from_nanos(gate.limit() as u64 * STEP / DONE as u64);
        assert!(delay > DELAY_MAX / 2 && delay < 2 * DELAY_MAX, "{delay:?} at {}", gate.limit());
    }
}
