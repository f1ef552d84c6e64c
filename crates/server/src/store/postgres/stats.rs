//! What the store does, in numbers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::metrics::{
    Counter, Histogram, LATENCIES, Page,
    names::{STORE_COMMAND, STORE_FAILED, STORE_QUEUE, STORE_REFUSED},
};

/// Shared by all that use the database.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// Calls that found too many others waiting for a connection.
    pub(super) refused: Counter,
    /// Commands that the database failed.
    pub(super) failed: Counter,
    /// By the command's name.
    commands: Mutex<BTreeMap<&'static str, Arc<Histogram>>>,
}

impl Stats {
    /// Takes in how long a command took, its commit included.
    pub(super) fn ran(&self, command: &'static str, took: Duration) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.entry(command).or_insert_with(|| Arc::new(Histogram::new(&LATENCIES))).observe(took);
    }

    /// Puts all of it on the page; `waiting` calls wait for a connection.
    pub(super) fn report(&self, page: &mut Page, waiting: usize) {
        page.value(&STORE_QUEUE, &["write"], waiting);
        page.value(&STORE_REFUSED, &["write"], self.refused.get());
        for (command, times) in self.commands.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            page.histogram(&STORE_COMMAND, &[command], times);
        }
        page.value(&STORE_FAILED, &[], self.failed.get());
    }
}

/// A handle to share.
pub(super) type SharedStats = Arc<Stats>;
