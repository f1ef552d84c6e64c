//! How much nodes tell one another.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Counters, from the start of the process, and how many nodes there are.
#[derive(Debug, Default)]
pub struct PeerStats {
    nodes: AtomicUsize,
    told: AtomicU64,
    heard: AtomicU64,
    read: AtomicU64,
    ignored: AtomicU64,
}

impl PeerStats {
    /// Other nodes that are heard of.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.load(Relaxed)
    }

    /// Changes of clients that were told.
    #[must_use]
    pub fn changes_told(&self) -> u64 {
        self.told.load(Relaxed)
    }

    /// Clients of other nodes that were heard of: changes, and what was asked for.
    #[must_use]
    pub fn clients_heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    /// How often all clients of another node were read.
    #[must_use]
    pub fn readings(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// Messages that could not be read, or were of one node too many.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }

    pub(super) fn set_nodes(&self, nodes: usize) {
        self.nodes.store(nodes, Relaxed);
    }

    pub(super) fn told(&self, changes: usize) {
        self.told.fetch_add(changes as u64, Relaxed);
    }

    pub(super) fn heard(&self, clients: usize) {
        self.heard.fetch_add(clients as u64, Relaxed);
    }

    pub(super) fn finish_reading(&self) {
        self.read.fetch_add(1, Relaxed);
    }

    pub(super) fn ignore(&self) {
        self.ignored.fetch_add(1, Relaxed);
    }
}
