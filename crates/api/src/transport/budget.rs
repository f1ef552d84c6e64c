//! The retry budget of [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs):
//! when most calls fail, trying again only adds to the load.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Tokens of a full budget, in thousandths. Calls are tried again while more than half are left: enough for all that are
/// under way when a server of several goes down.
const FULL: i64 = 60_000;
/// What a failed attempt takes.
const FAILURE: i64 = 1_000;
/// What a call that went well gives back: one retry for ten calls.
const SUCCESS: i64 = 100;
/// A call that goes well when none has failed for so long gives all of them back: the outage is over. By [`SUCCESS`] alone,
/// a client that calls once a second would be without a retry for five minutes more.
const OVER_AFTER: Duration = Duration::from_secs(2);

/// Tokens, shared by all calls of a client.
#[derive(Debug)]
pub(super) struct Budget(Mutex<State>);

#[derive(Debug)]
struct State {
    tokens: i64,
    last_failure: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(State { tokens: FULL, last_failure: None }))
    }
}

impl Budget {
    pub(super) fn succeeded(&self, now: Instant) {
        let mut state = self.lock();
        let is_over = state.last_failure.is_none_or(|failed| now.saturating_duration_since(failed) >= OVER_AFTER);
        state.tokens = if is_over { FULL } else { (state.tokens + SUCCESS).min(FULL) };
    }

    /// Takes the failure in; whether there is enough left to try again.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let mut state = self.lock();
        state.tokens = (state.tokens - FAILURE).max(0);
        state.last_failure = Some(now);
        state.tokens > FULL / 2
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_not_made_worse_and_odd_failures_are_tried_again() {
        let (budget, now) = (Budget::default(), Instant::now());
        assert_eq!((0..1_000).filter(|_| budget.failed(now)).count(), 29);
        // The server is back, and after a while one in ten may fail.
        (0..400).for_each(|_| budget.succeeded(now));
        for _ in 0..100 {
            assert!(budget.failed(now));
            (0..10).for_each(|_| budget.succeeded(now));
        }
    }

    #[test]
    fn an_outage_that_is_over_is_forgotten() {
        let (budget, start) = (Budget::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        // However seldom calls are made while it lasts.
        assert_eq!((0..100).filter(|minute| budget.failed(at(60 * minute))).count(), 29);
        budget.succeeded(at(5_941));
        assert!(!budget.failed(at(5_941)), "a second after a failure it may go on");
        budget.succeeded(at(5_943));
        assert_eq!((0..100).filter(|_| budget.failed(at(5_943))).count(), 29);
    }
}
