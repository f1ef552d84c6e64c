//! A circuit breaker: a server that fails again and again is left alone for a while, and then asked by one call.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 5;
/// How long it stays open at first; twice as long each time that the probe fails.
const OPEN_MIN: Duration = Duration::from_millis(500);
/// Whoever comes back is found within five seconds, however long it was away.
const OPEN_MAX: Duration = Duration::from_secs(4);
/// A probe that has told nothing for so long is taken for lost: its caller has gone.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// The breaker of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug)]
enum State {
    Closed {
        /// In a row.
        failures: u32,
    },
    Open {
        until: Instant,
        /// How long it is open this time.
        lasts: Duration,
    },
    /// One call is on its way to learn whether the server is back.
    HalfOpen { since: Instant, lasts: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Go on.
    Yes,
    /// Go on, as the one that asks whether the server is back.
    Probe,
    /// Not before this.
    No(Instant),
}

impl Breaker {
    /// Whether a call may be made, without making it.
    pub(super) fn look(&self, now: Instant) -> Permit {
        match *self.lock() {
            State::Closed { .. } => Permit::Yes,
            State::Open { until, .. } if now < until => Permit::No(until),
            State::HalfOpen { since, .. } if now < since + PROBE_MAX => Permit::No(since + PROBE_MAX),
            State::Open { .. } | State::HalfOpen { .. } => Permit::Probe,
        }
    }

    /// Takes the permit; of many that may probe, one does.
    pub(super) fn enter(&self, now: Instant) -> Permit {
        let permit = self.look(now);
        if permit == Permit::Probe {
            let mut state = self.lock();
            let lasts = match *state {
                State::Open { lasts, .. } | State::HalfOpen { lasts, .. } => lasts,
                State::Closed { .. } => return Permit::Yes,
            };
            *state = State::HalfOpen { since: now, lasts };
        }
        permit
    }

    /// The server has answered, whatever it said.
    pub(super) fn succeeded(&self) {
        *self.lock() = State::default();
    }

    /// The server could not be reached, or could not serve.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES_MAX => State::Closed { failures: failures + 1 },
            State::Closed { .. } => State::Open { until: now + OPEN_MIN, lasts: OPEN_MIN },
            State::HalfOpen { lasts, .. } => {
                let lasts = (lasts * 2).min(OPEN_MAX);
                State::Open { until: now + lasts, lasts }
            }
            // A call from before it opened.
            State::Open { until, lasts } => State::Open { until, lasts },
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_probe() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..FAILURES_MAX - 1 {
            breaker.failed(at(0));
        }
        breaker.succeeded();
        for _ in 0..FAILURES_MAX {
            assert_eq!(breaker.enter(at(0)), Permit::Yes);
            breaker.failed(at(0));
        }
        assert_eq!(breaker.enter(at(499)), Permit::No(at(500)));
        assert_eq!(breaker.look(at(500)), Permit::Probe);
        assert_eq!(breaker.enter(at(500)), Permit::Probe);
        // One probe at a time.
        assert!(matches!(breaker.enter(at(501)), Permit::No(_)));
        breaker.failed(at(502));
        assert_eq!(breaker.enter(at(1_501)), Permit::No(at(1_502)));
        assert_eq!(breaker.enter(at(1_502)), Permit::Probe);
        breaker.succeeded();
        assert_eq!(breaker.enter(at(1_503)), Permit::Yes);
    }

    #[test]
    fn a_probe_that_was_dropped_does_not_block_it_for_ever() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        (0..FAILURES_MAX).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.enter(start + OPEN_MIN), Permit::Probe);
        assert_eq!(breaker.enter(start + OPEN_MIN + PROBE_MAX), Permit::Probe);
    }

    #[test]
    fn it_never_stays_open_longer_than_its_limit() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        (0..FAILURES_MAX).for_each(|_| breaker.failed(now));
        for _ in 0..20 {
            now += OPEN_MAX;
            assert_eq!(breaker.enter(now), Permit::Probe);
            breaker.failed(now);
        }
    }
}
