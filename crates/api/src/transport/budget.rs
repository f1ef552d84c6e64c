//! The retry budget of [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs):
//! when most calls fail, trying again only adds to the load.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
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

/// Tokens, shared by all calls of a client. Calls that meet can at worst lose one count of the other.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: AtomicI64,
    epoch: Instant,
    /// When a call failed last, in milliseconds since the epoch.
    failed: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tokens: AtomicI64::new(FULL), epoch: Instant::now(), failed: AtomicU64::new(0) }
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
        let since_failure = self.since_epoch(clock()).saturating_sub(self.failed.load(Relaxed));
        if since_failure >= OVER_AFTER.as_millis() as u64 {
            self.tokens.store(FULL, Relaxed);
        } else {
            self.tokens.fetch_add(SUCCESS, Relaxed);
        }
    }

    fn failed_at(&self, now: Instant) -> bool {
        self.failed.store(self.since_epoch(now), Relaxed);
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
        // However seldom calls are made while it lasts.
        assert_eq!((0..100).filter(|minute| budget.failed_at(at(60 * minute))).count(), 29);
        budget.succeeded_by(|| at(5_941));
        assert!(!budget.failed_at(at(5_941)), "a second after a failure it may go on");
        budget.succeeded_by(|| at(5_943));
        assert_eq!((0..100).filter(|_| budget.failed_at(at(5_943))).count(), 29);
    }
}
