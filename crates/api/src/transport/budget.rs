//! The retry budget of [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs):
//! when most calls fail, trying again only adds to the load.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Tokens of a full budget, in thousandths. Calls are tried again while more than half are left: enough for all that are
/// under way when a server of several goes down.
const FULL: i64 = 60_000;
/// What a failed attempt takes.
const FAILURE: i64 = 1_000;
/// What a call that went well gives back: one retry for ten calls.
const SUCCESS: i64 = 100;

/// Tokens, shared by all calls of a client.
#[derive(Debug)]
pub(super) struct Budget(AtomicI64);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicI64::new(FULL))
    }
}

impl Budget {
    pub(super) fn succeeded(&self) {
        // Full for most of its life: then nothing is written.
        if self.0.load(Relaxed) < FULL {
            self.0.fetch_add(SUCCESS, Relaxed);
        }
    }

    /// Takes the failure in; whether there is enough left to try again.
    pub(super) fn failed(&self) -> bool {
        let before = self.0.fetch_sub(FAILURE, Relaxed);
        if before < FAILURE {
            self.0.store(0, Relaxed);
        }
        before - FAILURE > FULL / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_not_made_worse_and_odd_failures_are_tried_again() {
        let budget = Budget::default();
        assert_eq!((0..1_000).filter(|_| budget.failed()).count(), 29);
        // The server is back, and after a while one in ten may fail.
        (0..400).for_each(|_| budget.succeeded());
        for _ in 0..100 {
            assert!(budget.failed());
            (0..10).for_each(|_| budget.succeeded());
        }
    }
}
