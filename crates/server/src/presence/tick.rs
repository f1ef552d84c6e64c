//! The time of presence: tenths of a second since the start, which fit into four bytes for thirteen years.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::model::Timestamp;

/// How long a tick is.
pub const TICK: Duration = Duration::from_millis(100);
/// The wall clock may be this far, in microseconds, from where it was expected before it counts as set.
const CLOCK_SET_MICROS: u64 = 2_000_000;

/// A moment, or a span, in [`TICK`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u32);

impl Tick {
    /// A span, rounded up: nobody is gone too early.
    #[must_use]
    pub fn of(span: Duration) -> Self {
        Self(span.as_millis().div_ceil(TICK.as_millis()).try_into().unwrap_or(u32::MAX))
    }

    /// The moment this span later.
    #[must_use]
    pub fn after(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// Tells the tick. It counts on through every step of the wall clock, so that setting a clock disconnects nobody.
#[derive(Debug)]
pub struct Ticker {
    start: Instant,
    /// Microseconds since the epoch at tick 0.
    epoch: AtomicI64,
}

impl Ticker {
    /// Begins with tick 1, at this moment of the wall clock.
    #[must_use]
    pub fn start(wall: Timestamp) -> Self {
        let ticker = Self { start: Instant::now(), epoch: AtomicI64::new(0) };
        ticker.set_wall(wall);
        ticker
    }

    /// The tick of now. 0 is before everything.
    #[must_use]
    pub fn now(&self) -> Tick {
        let ticks = self.start.elapsed().as_millis() / TICK.as_millis();
        Tick(u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// A tick on the wall clock.
    #[must_use]
    pub fn wall_time(&self, tick: Tick) -> Timestamp {
        Timestamp(self.epoch.load(Ordering::Relaxed) + micros(tick))
    }

    /// Hears what the wall clock says now, in case it was set.
    pub fn set_wall(&self, wall: Timestamp) {
        let epoch = wall.0 - micros(self.now());
        if epoch.abs_diff(self.epoch.load(Ordering::Relaxed)) > CLOCK_SET_MICROS {
            self.epoch.store(epoch, Ordering::Relaxed);
        }
    }
}

fn micros(tick: Tick) -> i64 {
    // Four bytes of ticks times a hundred thousand fit into eight.
    i64::from(tick.0) * TICK.as_micros() as i64
}
