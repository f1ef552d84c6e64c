//! Clients in the order of their ids, from all shards: runs of each, merged.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, vec};

use super::{Client, Presence, SHARDS, claim::Claimed, lock, shard::Shard};

/// Clients that are taken from a shard at a time, beyond its share of the page.
const SPARE: usize = 4;

/// What is in the order of ids.
pub(super) trait HasId {
    fn id(&self) -> &Arc<str>;
}

impl HasId for Client {
    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl HasId for Claimed {
    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

/// The next of one shard.
struct Run<T> {
    shard: usize,
    next: vec::IntoIter<T>,
    /// The last that was taken, if there may be more after it.
    last: Option<Arc<str>>,
}

impl Presence {
    /// At most `limit` clients in the order of their ids, from `from` on; that one too if it is `included`.
    #[must_use]
    pub fn page(&self, from: &str, included: bool, limit: usize) -> Vec<Client> {
        let read = |shard: &Shard, from: &str, included, share| -> Vec<_> {
            shard.range(from, included, &self.heard).take(share).collect()
        };
        self.merge((from, included), limit, read)
    }

    /// At most `limit` clients that are connected here, in the order of their ids, after `after`.
    pub(super) fn claimed_here(&self, after: &str, limit: usize) -> Vec<Claimed> {
        let read = |shard: &Shard, from: &str, _, share| -> Vec<_> { shard.claimed_here(from).take(share).collect() };
        self.merge((after, false), limit, read)
    }

    /// Merges what each shard has.
    fn merge<T: HasId>(
        &self,
        (from, included): (&str, bool),
        limit: usize,
        read: impl Fn(&Shard, &str, bool, usize) -> Vec<T>,
    ) -> Vec<T> {
        let share = limit / SHARDS + SPARE;
        let run = |shard: usize, from: &str, included| {
            let next = read(&lock(&self.shards[shard]), from, included, share);
            let last = (next.len() == share).then(|| next.last().map(|last| Arc::clone(last.id()))).flatten();
            Run { shard, next: next.into_iter(), last }
        };
        let mut runs: Vec<_> = (0..SHARDS).map(|shard| run(shard, from, included)).collect();
        let mut heads: BinaryHeap<Reverse<(Arc<str>, usize)>> = BinaryHeap::with_capacity(SHARDS);
        heads.extend(runs.iter().filter_map(Run::head));
        let mut page = Vec::with_capacity(limit.min(self.len()));
        while page.len() < limit
            && let Some(Reverse((_, shard))) = heads.pop()
        {
            let one = &mut runs[shard];
            page.extend(one.next.next());
            if one.next.len() == 0
                && let Some(last) = one.last.take()
            {
                *one = run(shard, &last, false);
            }
            heads.extend(one.head());
        }
        page
    }
}

impl<T: HasId> Run<T> {
    fn head(&self) -> Option<Reverse<(Arc<str>, usize)>> {
        self.next.as_slice().first().map(|first| Reverse((Arc::clone(first.id()), self.shard)))
    }
}
