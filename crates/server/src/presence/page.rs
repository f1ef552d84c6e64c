//! Clients in the order of their ids, from all shards: runs of each, merged.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, vec};

use super::{Client, Presence, SHARDS, lock};

/// Clients that are taken from a shard at a time, beyond its share of the page.
const SPARE: usize = 4;

/// The next clients of one shard.
struct Run {
    shard: usize,
    clients: vec::IntoIter<Client>,
    /// The last that was taken, if there may be more after it.
    last: Option<Arc<str>>,
}

impl Presence {
    /// At most `limit` clients in the order of their ids, from `from` on; that one too if it is `included`.
    #[must_use]
    pub fn page(&self, from: &str, included: bool, limit: usize) -> Vec<Client> {
        let share = limit / SHARDS + SPARE;
        let mut runs: Vec<Run> = (0..SHARDS).map(|shard| self.run(shard, from, included, share)).collect();
        let mut heads: BinaryHeap<Reverse<(Arc<str>, usize)>> = BinaryHeap::with_capacity(SHARDS);
        heads.extend(runs.iter().filter_map(Run::head));
        let mut page = Vec::with_capacity(limit.min(self.len()));
        while page.len() < limit
            && let Some(Reverse((_, shard))) = heads.pop()
        {
            let run = &mut runs[shard];
            page.extend(run.clients.next());
            if run.clients.len() == 0
                && let Some(last) = run.last.take()
            {
                *run = self.run(shard, &last, false, share);
            }
            heads.extend(run.head());
        }
        page
    }

    fn run(&self, shard: usize, from: &str, included: bool, share: usize) -> Run {
        let clients: Vec<Client> = lock(&self.shards[shard]).range(from, included).take(share).collect();
        let last = (clients.len() == share).then(|| clients.last().map(|client| Arc::clone(&client.id))).flatten();
        Run { shard, clients: clients.into_iter(), last }
    }
}

impl Run {
    fn head(&self) -> Option<Reverse<(Arc<str>, usize)>> {
        self.clients.as_slice().first().map(|client| Reverse((Arc::clone(&client.id), self.shard)))
    }
}
