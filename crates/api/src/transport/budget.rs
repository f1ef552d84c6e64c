//! The retry budget of [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs):
//! when most calls fail, trying again only adds to the load.

use std::{
    sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Tokens of a full budget, in thousandths. Calls are tried again while more than half are left: enough for all that are
/// under way when a server of several goes down.
const FULL: i64 = 60_000;
/// What a failed attempt takes.
const FAILURE: i64 = 1_000;
/// What a call that went well gives back: one retry for ten calls.
const SUCCESS: i64 = 100;
/// When none has failed for so long, and so many have gone well since, all of them are back: the outage is over. By
/// [`SUCCESS`] alone, a client that calls once a second would be without a retry for five minutes more. By the time alone, one
/// that calls seldom would never be without.
const OVER_AFTER: Duration = Duration::from_secs(2);
const OVER_SUCCESSES: u32 = 10;

/// Tokens, shared by all calls of a client. Nothing is locked: calls that meet can miscount each other, by little.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: AtomicI64,
    epoch: Instant,
    /// When a call failed last, in milliseconds since the epoch.
    failed: AtomicU64,
    /// Calls that have gone well since.
    successes: AtomicU32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            tokens: AtomicI64::new(FULL),
            epoch: Instant::now(),
            failed: AtomicU64::new(0),
            successes: AtomicU32::new(0),
        }
    }
}

impl Budget {
    /// Takes in a call that went well.
    pub(super) fn succeeded(&self) {
        self.succeeded_by(Instant::now);
    }

    /// Takes the failure in; whether there is enough left to try again.
    pub(super) fn failed(&self) -> bool {
        self.failed_at(Instant::now())
    }

    fn succeeded_by(&self, clock: impl FnOnce() -> Instant) {
        // Full for most of its life: then nothing is written, and no clock is read.
        if self.tokens.load(Relaxed) >= FULL {
            return;
        }
        let successes = self.successes.fetch_add(1, Relaxed) + 1;
        let since_failure = self.since_epoch(clock()).saturating_sub(self.failed.load(Relaxed));
        if successes >= OVER_SUCCESSES && since_failure >= OVER_AFTER.as_millis() as u64 {
            self.tokens.store(FULL, Relaxed);
        } else {
            self.tokens.fetch_add(SUCCESS, Relaxed);
        }
    }

    fn failed_at(&self, now: Instant) -> bool {
        self.failed.store(self.since_epoch(now), Relaxed);
        self.successes.store(0, Relaxed);
        let before = self.tokens.fetch_sub(FAILURE, Relaxed);
        if before < FAILURE {
            self.tokens.store(0, Relaxed);
        }
        before - FAILURE > FULL / 2
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_not_made_worse_and_odd_failures_are_tried_again() {
        let (budget, now) = (Budget::default(), Instant::now());
        assert_eq!((0..1_000).filter(|_| budget.failed_at(now)).count(), 29);
        // The server is back, and after a while one in ten may fail.
        (0..400).for_each(|_| budget.succeeded_by(|| now));
        for _ in 0..100 {
            assert!(budget.failed_at(now));
            (0..10).for_each(|_| budget.succeeded_by(|| now));
        }
    }

    #[test]
    fn an_outage_that_is_over_is_forgotten() {
        let (budget, start) = (Budget::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!((0..100).filter(|_| budget.failed_at(at(0))).count(), 29);
        // Many go well, but it may go on: a tenth of them comes back.
        (0..20).for_each(|_| budget.succeeded_by(|| at(1)));
        assert!(!budget.failed_at(at(1)));
        (0..u64::from(OVER_SUCCESSES)).for_each(|second| budget.succeeded_by(|| at(2 + second)));
        assert_eq!((0..100).filter(|_| budget.failed_at(at(12))).count(), 29);
    }

    #[test]
    fn who_calls_seldom_runs_out_too_where_every_second_call_fails() {
        let (budget, start) = (Budget::default(), Instant::now());
        let minute = |number| start + Duration::from_mins(number);
        let may_go_on = (0..100).filter(|number| {
            budget.succeeded_by(|| minute(2 * number));
            budget.failed_at(minute(2 * number + 1))
        });
        assert!(may_go_on.count() < 40);
    }
}
