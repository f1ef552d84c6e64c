//! What is asked of Redis, in numbers.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{Channel, Purpose};
use crate::metrics::{
    Counter, Histogram, LATENCIES, Page,
    names::{
        REDIS_BREAKER, REDIS_COMMANDS, REDIS_CONNECTS, REDIS_DURATION, REDIS_GAPS, REDIS_MESSAGES, REDIS_PING, REDIS_UP,
    },
};

/// How a command ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Done,
    /// Redis said no.
    Refused,
    /// No answer in time.
    Late,
    /// The connection broke.
    Lost,
    /// The breaker was open.
    Skipped,
}

impl Outcome {
    const ALL: [(Self, &str); 5] = [
        (Self::Done, "done"),
        (Self::Refused, "refused"),
        (Self::Late, "late"),
        (Self::Lost, "lost"),
        (Self::Skipped, "skipped"),
    ];
}

pub(super) struct Stats {
    commands: [[Counter; Outcome::ALL.len()]; Purpose::ALL.len()],
    durations: [Histogram; Purpose::ALL.len()],
    heard: [Counter; Channel::ALL.len()],
    said: [Counter; Channel::ALL.len()],
    pub(super) gaps: Counter,
    pub(super) breaker_opened: Counter,
    pub(super) connected: Counter,
    pub(super) not_connected: Counter,
    /// Of the last ping that was answered, in nanoseconds.
    ping: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            commands: Default::default(),
            durations: std::array::from_fn(|_| Histogram::new(&LATENCIES)),
            heard: Default::default(),
            said: Default::default(),
            gaps: Counter::default(),
            breaker_opened: Counter::default(),
            connected: Counter::default(),
            not_connected: Counter::default(),
            ping: AtomicU64::new(0),
        }
    }
}

impl Stats {
    pub(super) fn ended(&self, purpose: Purpose, outcome: Outcome, took: Duration) {
        self.commands[purpose as usize][outcome as usize].increment();
        if matches!(outcome, Outcome::Done | Outcome::Refused) {
            self.durations[purpose as usize].observe(took);
        }
    }

    pub(super) fn skipped(&self, purpose: Purpose) {
        self.commands[purpose as usize][Outcome::Skipped as usize].increment();
    }

    pub(super) fn heard(&self, channel: Channel) {
        self.heard[channel as usize].increment();
    }

    pub(super) fn said(&self, channel: Channel, messages: u64) {
        self.said[channel as usize].add(messages);
    }

    pub(super) fn pinged(&self, took: Duration) {
        self.ping.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Puts them on the page.
    pub(super) fn report(&self, page: &mut Page, is_up: bool) {
        page.value(&REDIS_UP, &[], u64::from(is_up));
        page.value(&REDIS_PING, &[], Duration::from_nanos(self.ping.load(Relaxed)).as_secs_f64());
        for (purpose, name) in Purpose::ALL {
            for (outcome, outcome_name) in Outcome::ALL {
                page.value(
                    &REDIS_COMMANDS,
                    &[name, outcome_name],
                    self.commands[purpose as usize][outcome as usize].get(),
                );
            }
        }
        for (purpose, name) in Purpose::ALL {
            page.histogram(&REDIS_DURATION, &[name], &self.durations[purpose as usize]);
        }
        page.value(&REDIS_BREAKER, &[], self.breaker_opened.get());
        page.value(&REDIS_CONNECTS, &["done"], self.connected.get());
        page.value(&REDIS_CONNECTS, &["failed"], self.not_connected.get());
        for (channel, name) in Channel::ALL {
            page.value(&REDIS_MESSAGES, &[name, "sent"], self.said[channel as usize].get());
            page.value(&REDIS_MESSAGES, &[name, "heard"], self.heard[channel as usize].get());
        }
        page.value(&REDIS_GAPS, &[], self.gaps.get());
    }
}
