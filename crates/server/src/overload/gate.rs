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
/// In a crowd, one in so many looks at the clock.
const SAMPLED: usize = 8;
/// How many classes there are.
pub(super) const CLASSES: usize = 6;
/// The limit is shared out in these parts.
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
    limit: AtomicUsize,
    /// By the number of the class.
    coming: [AtomicUsize; CLASSES],
    epoch: Instant,
    /// Calls that got on in a crowd.
    turn: AtomicUsize,
    /// The latest delay, in nanoseconds.
    delay: AtomicU64,
    /// When the interval began, in nanoseconds since the epoch, and its shortest delay and greatest crowd.
    began: AtomicU64,
    shortest: AtomicU64,
    crowd: AtomicUsize,
}

/// What a call holds that was let in, until it takes its first step.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    /// The class whose queue it is on its way to.
    coming: Option<LoadClass>,
}

impl Place {
    /// The call's first step will lead it to the queue of its class.
    pub(crate) fn comes(&mut self, class: LoadClass) {
        self.coming = Some(class);
        self.gate.coming[class as usize].fetch_add(1, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(1, Relaxed);
        if let Some(class) = self.coming {
            self.gate.coming[class as usize].fetch_sub(1, Relaxed);
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            limit: AtomicUsize::new(LIMIT_FIRST),
            coming: Default::default(),
            epoch: Instant::now(),
            turn: AtomicUsize::new(0),
            delay: AtomicU64::new(0),
            began: AtomicU64::new(0),
            shortest: AtomicU64::new(u64::MAX),
            crowd: AtomicUsize::new(0),
        }
    }
}

impl Gate {
    /// Lets a call in, or not.
    pub(crate) fn admit(self: &Arc<Self>, class: LoadClass) -> Result<Place, Cause> {
        if self.waiting.load(Relaxed) >= self.limit.load(Relaxed) * parts(class) / PARTS {
            return Err(Cause::Worker);
        }
        self.waiting.fetch_add(1, Relaxed);
        Ok(Place { gate: Arc::clone(self), coming: None })
    }

    /// Calls of this class that were let in and are yet to join their queue.
    pub(crate) fn coming(&self, class: LoadClass) -> usize {
        self.coming[class as usize].load(Relaxed)
    }

    /// How long a call that comes now waits for its first step; nothing unless there is a crowd.
    pub(crate) fn delay(&self) -> Duration {
        let delay = if self.waiting() < CROWD { 0 } else { self.delay.load(Relaxed) };
        Duration::from_nanos(delay)
    }

    /// A call that came `at` this time gets on.
    pub(crate) fn gets_on(&self, came: Instant) {
        let waiting = self.waiting();
        if waiting < CROWD {
            return;
        }
        let turn = self.turn.load(Relaxed).wrapping_add(1);
        self.turn.store(turn, Relaxed);
        if turn.is_multiple_of(SAMPLED) {
            let now = Instant::now();
            self.note(nanos(now - self.epoch), nanos(now - came), waiting);
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    fn note(&self, now: u64, delay: u64, waiting: usize) {
        self.delay.store(delay, Relaxed);
        let shortest = self.shortest.load(Relaxed).min(delay);
        let crowd = self.crowd.load(Relaxed).max(waiting);
        if now - self.began.load(Relaxed) < nanos(INTERVAL) {
            self.shortest.store(shortest, Relaxed);
            self.crowd.store(crowd, Relaxed);
            return;
        }
        self.limit.store(adapted(self.limit(), shortest, crowd), Relaxed);
        self.began.store(now, Relaxed);
        self.shortest.store(u64::MAX, Relaxed);
        self.crowd.store(0, Relaxed);
    }
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

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
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
    fn a_call_is_on_its_way_until_it_gets_on_or_is_given_up() {
        let gate = Arc::new(Gate::default());
        let mut places: Vec<_> = (0..2).map(|_| gate.admit(LoadClass::Bulk).unwrap()).collect();
        assert_eq!(gate.coming(LoadClass::Bulk), 0);
        places.iter_mut().for_each(|place| place.comes(LoadClass::Bulk));
        assert_eq!((gate.coming(LoadClass::Bulk), gate.coming(LoadClass::Write)), (2, 0));
        places.pop();
        assert_eq!((gate.coming(LoadClass::Bulk), gate.waiting()), (1, 1));
        drop(places);
        assert_eq!(gate.coming(LoadClass::Bulk), 0);
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
