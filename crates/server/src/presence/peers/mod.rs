//! What nodes tell one another of their clients, by messages that may be lost.
//!
//! Each node speaks for its own clients alone, and nothing is kept between nodes: a message is heard by those who listen
//! when it is sent. What a node has told is numbered, so others notice what they have missed, and ask for all of its
//! clients again, stretch by stretch in the order of their ids: as fast as they can take them in, while changes go on. A
//! stretch says how many changes had been told before it. It is taken by who has heard exactly these, and so is as new as all
//! that they know.
//!
//! A node of which nothing is heard for its lifetime has no clients any more. Lifetimes are counted by who waits, so no
//! two clocks need agree. What is done here is told which [`Tick`] it is, takes messages and leaves others; all nodes hear
//! all of them in the same order, those of one node in the order in which it sent them.

mod message;
mod peer;
mod stats;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

pub use stats::PeerStats;

use self::{
    message::{Body, CLIENTS_MAX, Entry, Message},
    peer::{Peer, Step},
};
use super::{
    Presence, Tick,
    claim::{Claimed, Node},
};

/// Changes that are told at a time; further ones wait for the next.
const CHANGES_MAX: usize = 4_096;
/// Beats in a lifetime, so that one that is late or lost ends nobody.
const BEATS: u32 = 4;
/// The shortest lifetime, in ticks.
const LIFETIME_MIN: Tick = Tick(3);
/// The longest that another node may claim: that of the longest timeout.
const LIFETIME_MAX: Tick = Tick(10 * 60 * 60);
/// The same stretch of clients is not told again sooner.
const ANSWER_EVERY: Tick = Tick(1);
/// While nobody can be told anything, this often is tried.
const PROBE: Tick = Tick(10);
/// Who was not watched for longer than this was not silent in that time: it was us who slept.
const SLEPT: Tick = Tick(5);

/// The other nodes, as one of them knows them. See the module.
#[derive(Debug)]
pub struct Peers {
    presence: Arc<Presence>,
    stats: Arc<PeerStats>,
    id: u64,
    lifetime: Tick,
    /// Of the changes that were told last.
    seq: u64,
    /// Whether what is told is sent at all.
    telling: bool,
    peers: BTreeMap<u64, Peer>,
    beat_at: Tick,
    passed: Tick,
    /// The last stretch that was told, after whom it begins, and when.
    answered: Option<(Box<str>, Tick)>,
    outbox: Vec<Vec<u8>>,
}

impl Peers {
    /// Nobody yet, for a node that is to have another `id` than any before it. Its clients are gone elsewhere when it is
    /// silent for two thirds of `timeout`: until then those that it leaves have spoken to another node, if they speak
    /// three times in a timeout.
    #[must_use]
    pub fn new(presence: Arc<Presence>, id: u64, timeout: Duration, now: Tick) -> Self {
        let lifetime = Tick::of(timeout * 2 / 3).max(LIFETIME_MIN);
        let stats = Arc::clone(&presence.stats);
        Self {
            presence,
            stats,
            id,
            lifetime,
            seq: 0,
            telling: false,
            peers: BTreeMap::new(),
            beat_at: now,
            passed: now,
            answered: None,
            outbox: Vec::new(),
        }
    }

    /// What is to be sent now, in this order.
    #[must_use]
    pub fn take_outbox(&mut self) -> Vec<Vec<u8>> {
        mem::take(&mut self.outbox)
    }

    /// Messages may have been missed, or this is the beginning.
    pub fn missed(&mut self, now: Tick) {
        self.beat(true, now);
        let ids: Vec<u64> = self.peers.keys().copied().collect();
        for id in ids {
            self.ask_anew(id, now);
        }
    }

    /// What was to be sent was, or maybe not.
    pub fn sent(&mut self, all: bool, now: Tick) {
        if all == self.telling {
            return;
        }
        // Whatever is not told has a number, too, so that others notice.
        self.seq += 1;
        self.telling = all;
        self.presence.tell(all);
        if all {
            self.beat(true, now);
        } else {
            self.beat_at = now.after(PROBE);
        }
    }

    /// Tells others what has changed; gives whether there is more of it.
    pub fn tell_changes(&mut self, now: Tick) -> bool {
        if !self.telling {
            return false;
        }
        let changes = self.presence.take_untold(CHANGES_MAX);
        self.stats.told(changes.len());
        for clients in changes.chunks(CLIENTS_MAX) {
            self.seq += 1;
            let clients = clients.iter().map(|client| Entry::of(client, now)).collect();
            self.send(Body::Changes { seq: self.seq, clients });
        }
        self.presence.has_untold()
    }

    /// Ends what is told: others are to hear nothing of the clients that a node loses because it stops. They are taken over
    /// by other nodes, or gone when its lifetime is over.
    pub fn rest(&mut self, now: Tick) {
        self.tell_changes(now);
        self.beat(false, now);
        self.presence.tell(false);
        self.telling = false;
    }

    /// Has time pass: what is due is sent, and who was silent for too long has no clients any more.
    pub fn pass(&mut self, now: Tick) {
        let slept = Tick(now.0.saturating_sub(self.passed.0));
        self.passed = now;
        if slept > SLEPT {
            self.peers.values_mut().for_each(|peer| peer.heard = peer.heard.after(slept).min(now));
        }
        let silent = |peer: &Peer| peer.heard.after(peer.lifetime) <= now;
        let ended: Vec<u64> = self.peers.iter().filter(|(_, peer)| silent(peer)).map(|(id, _)| *id).collect();
        for peer in ended.into_iter().filter_map(|id| self.peers.remove(&id)) {
            tracing::info!(node = %format_args!("{:016x}", peer.id), "another server is silent: its clients count as gone");
            self.presence.hear_no_more(peer.node, peer.heard, now);
        }
        self.stats.set_nodes(self.peers.len());
        let has_room = !self.presence.is_nearly_full();
        let due: Vec<_> =
            self.peers.values_mut().filter_map(|peer| Some((peer.id, peer.due(now, has_room)?))).collect();
        for (id, step) in due {
            match step {
                Step::Go => self.ask(id, now),
                Step::Anew => self.ask_anew(id, now),
            }
        }
        if self.beat_at <= now {
            self.beat(false, now);
        }
    }

    /// Takes in what another node has said.
    pub fn hear(&mut self, bytes: &[u8], now: Tick) {
        let Some(Message { from, body }) = Message::read(bytes) else { return self.stats.ignore() };
        if from == self.id {
            return;
        }
        match body {
            Body::Beat { seq, lifetime, asks } => {
                let Some(peer) = self.hear_of(from, now) else { return };
                peer.lifetime = Tick(lifetime).clamp(LIFETIME_MIN, LIFETIME_MAX);
                peer.compare(seq, now);
                if asks {
                    self.beat(false, now);
                }
            }
            Body::Changes { seq, clients } => {
                let Some(peer) = self.hear_of(from, now) else { return };
                let node = peer.node;
                match peer.seq.map(|heard| heard.saturating_add(1).cmp(&seq)) {
                    Some(std::cmp::Ordering::Equal) => {
                        peer.seq = Some(seq);
                        self.take_in(from, &clients, now, |presence, clients| presence.hear(node, clients, now));
                    }
                    Some(std::cmp::Ordering::Less) => self.ask_anew(from, now),
                    // What is asked for will have it; or it has come twice.
                    None | Some(std::cmp::Ordering::Greater) => {}
                }
            }
            Body::Ask { to, after } if to == self.id => self.answer(after, now),
            Body::Part { seq, after, clients, is_last } => {
                let Some(peer) = self.hear_of(from, now) else { return };
                if !peer.expects(after, seq, now) {
                    return;
                }
                let (node, heard) = (peer.node, peer.heard);
                let upto: Option<Arc<str>> =
                    if is_last { None } else { clients.last().map(|last| last.claimed(now).id) };
                self.take_in(from, &clients, now, |presence, clients| {
                    let stretch = super::elsewhere::Stretch { after, upto: upto.as_deref(), clients };
                    presence.hear_stretch(node, &stretch, heard, now)
                });
                match upto {
                    Some(upto) => self.ask_after(from, &upto, now),
                    None => self.finish(from),
                }
            }
            Body::Ask { .. } => {}
        }
    }

    /// Notes that something was heard of a node, which may be a new one; `None` if there are too many.
    fn hear_of(&mut self, id: u64, now: Tick) -> Option<&mut Peer> {
        if !self.peers.contains_key(&id) {
            let is_free = |node: &Node| self.peers.values().all(|peer| peer.node != *node);
            let Some(node) = (1..=Node::MAX).filter_map(Node::new).find(is_free) else {
                self.stats.ignore();
                return None;
            };
            self.peers.insert(id, Peer::new(id, node, self.lifetime, now));
            self.stats.set_nodes(self.peers.len());
            self.ask_anew(id, now);
        }
        let peer = self.peers.get_mut(&id)?;
        peer.heard = now;
        self.presence.heard.set(peer.node, now);
        Some(peer)
    }

    /// Takes in clients of a node that is known.
    fn take_in(
        &mut self,
        id: u64,
        clients: &[Entry<'_>],
        now: Tick,
        take: impl FnOnce(&Presence, &[Claimed]) -> Result<(), super::Full>,
    ) {
        let clients: Vec<_> = clients.iter().map(|client| client.claimed(now)).collect();
        self.stats.heard(clients.len());
        if take(&self.presence, &clients).is_err()
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.had_no_room(now);
        }
    }

    /// Asks a node for all of its clients.
    fn ask_anew(&mut self, id: u64, now: Tick) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.begin(now);
        }
        self.ask(id, now);
    }

    /// Asks a node for its clients after this one.
    fn ask_after(&mut self, id: u64, after: &str, now: Tick) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.go_on(after);
        }
        self.ask(id, now);
    }

    /// Asks a node for the stretch that is next, maybe once more.
    fn ask(&mut self, id: u64, now: Tick) {
        let Some(after) = self.peers.get_mut(&id).and_then(|peer| peer.ask(now)) else { return };
        self.send(Body::Ask { to: id, after: &after });
    }

    /// All of a node's clients are known.
    fn finish(&mut self, id: u64) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.finish();
            self.stats.finish_reading();
            tracing::info!(node = %format_args!("{id:016x}"), "the clients of another server are known");
        }
    }

    /// Tells all who read our clients the stretch after this one. When they begin at the same time, each asks for it, and
    /// one answer does for all.
    fn answer(&mut self, after: &str, now: Tick) {
        let is_told = |(place, at): &(Box<str>, Tick)| **place == *after && now < at.after(ANSWER_EVERY);
        if self.answered.as_ref().is_some_and(is_told) {
            return;
        }
        self.answered = Some((after.into(), now));
        let clients = self.presence.claimed_here(after, CLIENTS_MAX);
        let is_last = clients.len() < CLIENTS_MAX;
        let clients = clients.iter().map(|client| Entry::of(client, now)).collect();
        self.send(Body::Part { seq: self.seq, after, clients, is_last });
    }

    fn beat(&mut self, asks: bool, now: Tick) {
        let often = Tick((self.lifetime.0 / BEATS).max(1));
        self.beat_at = now.after(if self.telling { often } else { often.min(PROBE) });
        self.send(Body::Beat { seq: self.seq, lifetime: self.lifetime.0, asks });
    }

    fn send(&mut self, body: Body<'_>) {
        self.outbox.push(Message { from: self.id, body }.bytes());
    }
}
