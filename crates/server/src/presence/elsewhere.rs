//! What other nodes say of clients, taken into the table; and what they are to hear of ours.

use std::sync::{
    Arc, MutexGuard,
    atomic::{AtomicU32, Ordering},
};

use super::{
    Full, PeerStats, Presence, SHARDS, Tick,
    claim::{Claim, Claimed, Node},
    lock,
    shard::{Outcome, Shard},
};

/// When something was last heard of each other node. It vouches for its clients: what they say to it, it does not repeat.
#[derive(Debug)]
pub(super) struct Heard(Box<[AtomicU32]>);

impl Default for Heard {
    fn default() -> Self {
        Self((0..=Node::MAX).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Heard {
    pub(super) fn of(&self, node: Node) -> Tick {
        Tick(self.0[node.number()].load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, node: Node, now: Tick) {
        self.0[node.number()].store(now.0, Ordering::Relaxed);
    }
}

/// Clients of another node in the order of their ids, and between which ids they are all that it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'a> {
    /// After this one,
    pub(super) after: &'a str,
    /// and up to that one, or to the end.
    pub(super) upto: Option<&'a str>,
    pub(super) clients: &'a [Claimed],
}

impl Presence {
    /// Waits until other nodes may have to be told something.
    pub async fn untold(&self) {
        self.untold.notified().await;
    }

    /// How many claims other nodes have on clients; more than clients, if several nodes claim the same.
    #[must_use]
    pub fn claims_elsewhere(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).claims_elsewhere()).sum()
    }

    /// How much nodes tell one another.
    #[must_use]
    pub fn peer_stats(&self) -> &PeerStats {
        &self.stats
    }

    /// Has changes noted for other nodes from now on, or no more.
    pub(super) fn tell(&self, telling: bool) {
        self.shards.iter().for_each(|shard| lock(shard).tell(telling));
    }

    /// Takes some of the clients that other nodes are to be told of, `max` at most and some of each shard.
    pub(super) fn take_untold(&self, max: usize) -> Vec<Claimed> {
        let share = max / SHARDS;
        self.shards.iter().flat_map(|shard| lock(shard).take_untold(share)).collect()
    }

    pub(super) fn has_untold(&self) -> bool {
        self.shards.iter().any(|shard| lock(shard).has_untold())
    }

    /// Takes in what a node has said of clients, one after the other.
    ///
    /// # Errors
    /// There was no room for one of them. The others were taken in.
    pub(super) fn hear(&self, node: Node, clients: &[Claimed], now: Tick) -> Result<(), Full> {
        let mut result = Ok(());
        for client in clients {
            result = result.and(self.hear_one(node, client, now));
        }
        result
    }

    fn hear_one(&self, node: Node, client: &Claimed, now: Tick) -> Result<(), Full> {
        let hash = self.hash(&client.id);
        let mut shard = self.shard(hash);
        let is_gone = client.claim.is_nothing();
        let known = shard.find(hash, &client.id);
        let slot = match known {
            Some(slot) => slot,
            // Nobody need remember who has gone before there was room to know of them.
            None if is_gone && self.is_nearly_full() => return Ok(()),
            None => {
                self.make_room(None)?;
                shard.insert(&self.hasher, (hash, &client.id), self.terms, client.last_seen.min(now), now)
            }
        };
        let mut outcome = shard.claim(slot, (node, client.claim), client.last_seen.min(now), now);
        if client.goodbye {
            outcome = outcome.then(shard.goodbye_elsewhere(slot, now));
        }
        outcome.changed |= known.is_none() && is_gone;
        self.announce(shard, outcome, &client.id, now);
        Ok(())
    }

    /// Has a node have these clients in that stretch and no others. What it had and has no more was there until `heard`.
    ///
    /// # Errors
    /// There was no room for one of them. The others were taken in.
    pub(super) fn hear_stretch(&self, node: Node, stretch: &Stretch<'_>, heard: Tick, now: Tick) -> Result<(), Full> {
        let Stretch { after, upto, clients } = *stretch;
        let is_left = |id: &str| clients.binary_search_by(|client| (*client.id).cmp(id)).is_err();
        self.withdraw(node, (after, upto), is_left, heard, now);
        self.hear(node, clients, now)
    }

    /// Ends all claims of a node. What it had was there until `heard`.
    pub(super) fn hear_no_more(&self, node: Node, heard: Tick, now: Tick) {
        self.withdraw(node, ("", None), |_| true, heard, now);
    }

    fn withdraw(
        &self,
        node: Node,
        (after, upto): (&str, Option<&str>),
        is_left: impl Fn(&str) -> bool,
        heard: Tick,
        now: Tick,
    ) {
        for shard in &self.shards {
            let mut gone: Vec<Arc<str>> = Vec::new();
            let mut shard = lock(shard);
            for slot in shard.claimed_between(node, after, upto) {
                if is_left(shard.id(slot)) && shard.claim(slot, (node, Claim::NOTHING), heard, now).changed {
                    gone.push(shard.id(slot).into());
                }
            }
            drop(shard);
            for id in gone {
                self.watches.publish(&id, now);
            }
        }
    }

    /// Tells whoever is to hear of it what became of a client.
    fn announce(&self, shard: MutexGuard<'_, Shard>, outcome: Outcome, id: &str, now: Tick) {
        drop(shard);
        if outcome.changed {
            self.watches.publish(id, now);
        }
        if outcome.untold {
            self.untold.notify_one();
        }
    }
}
