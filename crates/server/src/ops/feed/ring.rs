//! The newest changes in memory, for all watchers: bounded by their number and their bytes.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::entry::Entry;
use crate::{
    model::{Action, UserId},
    store::ChangePage,
};

/// Changes in the ring.
pub(super) const RING_MAX: usize = 16_384;
/// Bytes that they may take; a single one may take more.
pub(super) const RING_MAX_BYTES: usize = 16 << 20;

/// What the ring has for a watcher.
#[derive(Debug)]
pub(super) enum Piece {
    /// These changes and no other up to a position.
    Changes(Vec<Arc<Entry>>, i64),
    /// Nothing after the watcher's position yet.
    Nothing,
    /// The ring has moved past the watcher's position: the store has what follows it.
    Behind,
}

/// See the [module](self). Has every change after `start` up to `upto`.
#[derive(Debug, Default)]
pub(super) struct Ring {
    start: i64,
    upto: i64,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Ring {
    /// Starts anew after this position.
    pub(super) fn reset(&mut self, position: i64) {
        *self = Self { start: position, upto: position, ..Self::default() };
    }

    /// Takes in what follows.
    pub(super) fn push(&mut self, page: ChangePage) {
        self.erase(&page);
        for change in page.changes {
            let entry = Arc::new(Entry::new(change));
            self.bytes += entry.bytes();
            self.entries.push_back(entry);
        }
        self.upto = self.upto.max(page.upto);
        while self.entries.len() > RING_MAX || (self.bytes > RING_MAX_BYTES && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.start = oldest.change.position;
        }
    }

    /// Takes users out who are deleted by what comes, as the store takes them out of the log.
    fn erase(&mut self, page: &ChangePage) {
        let deleted = page.changes.iter().filter(|change| change.action == Action::Deleted);
        let deleted: HashSet<&UserId> = deleted.map(|change| &change.user_id).collect();
        if deleted.is_empty() {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.has_user()) {
            if deleted.contains(&entry.change.user_id) {
                let erased = Arc::new(entry.erased());
                self.bytes = self.bytes - entry.bytes() + erased.bytes();
                *entry = erased;
            }
        }
    }

    /// How many changes it has, and the bytes that they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Up to `max` changes after a position.
    pub(super) fn after(&self, position: i64, max: usize) -> Piece {
        if position < self.start {
            return Piece::Behind;
        }
        if position >= self.upto {
            return Piece::Nothing;
        }
        let first = self.entries.partition_point(|entry| entry.change.position <= position);
        let taken: Vec<_> = self.entries.range(first..).take(max).cloned().collect();
        let is_all = first + taken.len() == self.entries.len();
        let upto = taken.last().filter(|_| !is_all).map_or(self.upto, |last| last.change.position);
        Piece::Changes(taken, upto)
    }
}
