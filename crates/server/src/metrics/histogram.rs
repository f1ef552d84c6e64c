//! Histograms with fixed buckets, striped like counters.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::counter::{STRIPES, stripe};

/// Buckets that a histogram may have, the last one without an upper bound.
const BUCKETS_MAX: usize = 20;

/// Where buckets end, and what their numbers mean.
#[derive(Debug)]
pub struct Buckets {
    /// The greatest number that is still in a bucket, in rising order.
    pub(super) upto: &'static [u64],
    /// How many of them make one of the unit that is exported.
    pub(super) per_unit: f64,
}

/// Nanoseconds, exported as seconds: 50 µs to 10 s.
pub static LATENCIES: Buckets = Buckets {
    upto: &[
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
    ],
    per_unit: 1e9,
};

/// How many at once: 1 to 512.
pub static COUNTS: Buckets = Buckets { upto: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512], per_unit: 1.0 };

/// How often something was how much.
#[derive(Debug)]
pub struct Histogram {
    buckets: &'static Buckets,
    stripes: Box<[Stripe]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe {
    counts: [AtomicU64; BUCKETS_MAX],
    sum: AtomicU64,
}

/// A histogram as it was at some time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Snapshot {
    /// The end of each bucket in the exported unit, and how many were no greater. Without the last, endless one.
    pub(super) upto: Vec<(f64, u64)>,
    pub(super) count: u64,
    /// In the exported unit.
    pub(super) sum: f64,
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub fn new(buckets: &'static Buckets) -> Self {
        assert!(buckets.upto.len() < BUCKETS_MAX);
        Self { buckets, stripes: (0..STRIPES).map(|_| Stripe::default()).collect() }
    }

    /// Takes in a duration; for [`LATENCIES`].
    pub fn observe(&self, took: Duration) {
        self.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes in a number of what the buckets are made of.
    pub fn record(&self, number: u64) {
        let stripe = &self.stripes[stripe()];
        let bucket = self.buckets.upto.iter().position(|upto| number <= *upto).unwrap_or(self.buckets.upto.len());
        stripe.counts[bucket].fetch_add(1, Relaxed);
        stripe.sum.fetch_add(number, Relaxed);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let in_bucket =
            |bucket: usize| self.stripes.iter().map(|stripe| stripe.counts[bucket].load(Relaxed)).sum::<u64>();
        let mut count = 0;
        let mut upto = Vec::with_capacity(self.buckets.upto.len());
        for (bucket, end) in self.buckets.upto.iter().enumerate() {
            count += in_bucket(bucket);
            upto.push((*end as f64 / self.buckets.per_unit, count));
        }
        count += in_bucket(self.buckets.upto.len());
        let sum: u64 = self.stripes.iter().map(|stripe| stripe.sum.load(Relaxed)).sum();
        Snapshot { upto, count, sum: sum as f64 / self.buckets.per_unit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_what_is_no_greater_than_their_end() {
        let sizes = Histogram::new(&COUNTS);
        for number in [1, 2, 2, 3, 512, 513, 1_000] {
            sizes.record(number);
        }
        let snapshot = sizes.snapshot();
        assert_eq!(snapshot.upto[..3], [(1.0, 1), (2.0, 3), (4.0, 4)]);
        assert_eq!((snapshot.upto[9], snapshot.count, snapshot.sum), ((512.0, 5), 7, 2_033.0));
    }

    #[test]
    fn durations_are_told_in_seconds() {
        let times = Histogram::new(&LATENCIES);
        times.observe(Duration::from_micros(50));
        times.observe(Duration::from_secs(60));
        let snapshot = times.snapshot();
        assert_eq!((snapshot.upto[0], snapshot.upto[16]), ((0.000_05, 1), (10.0, 1)));
        assert_eq!((snapshot.count, snapshot.sum), (2, 60.000_05));
    }
}
