//! A part of the table: clients in slots, found by hash, kept in the order of their ids, and on a wheel of time.
//!
//! A client takes a slot of 32 bytes, its id, 4 bytes in the order and about 11 in the hash table. The wheel is a list
//! through the slots themselves for each of the next ticks. A client stays where it is on the wheel when it speaks: when its turn
//! comes it is looked at, and put where it is due by then. So a heartbeat is one look into the hash table and one store.

mod elsewhere;

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::Arc,
};

use hashbrown::HashTable;

use super::{
    Client, STREAMS_PER_CLIENT_MAX, Tick,
    claim::{Claim, Claimed, Elsewhere, Here, Node},
    elsewhere::Heard,
};

/// Turns of the wheel, in ticks: 51 seconds. Who is due later is looked at in between.
const WHEEL: usize = 512;
/// The end of a list.
const NONE: u32 = u32::MAX;
/// A vector that is full grows by this share and no more: doubling would leave half of the memory unused.
const GROWTH: usize = 8;

/// How long who is what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) timeout: Tick,
    pub(super) forget_after: Tick,
}

/// What became of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Whether it is connected.
    pub(super) ok: bool,
    /// Whether it was not before, or the other way round.
    pub(super) changed: bool,
    /// Whether other nodes are to be told something.
    pub(super) untold: bool,
}

impl Outcome {
    /// What became of it by two things, one after the other.
    pub(super) fn then(self, next: Self) -> Self {
        Self { ok: next.ok, changed: self.changed != next.changed, untold: self.untold || next.untold }
    }
}

/// What became of many.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Who was silent for too long, if anybody wants to know.
    pub(super) gone: Vec<Arc<str>>,
    /// How many were forgotten.
    pub(super) forgotten: usize,
    /// The latest change of any of these.
    pub(super) forgotten_change: Tick,
    /// Whether other nodes are to be told something.
    pub(super) untold: bool,
}

/// A client.
#[derive(Debug)]
struct Slot {
    /// Empty if the slot is free.
    id: Box<str>,
    last_seen: Tick,
    /// When it was last connected or disconnected.
    changed_at: Tick,
    /// The next in the same list: of a tick, or of free slots.
    next: u32,
    here: Here,
    elsewhere: Option<Elsewhere>,
}

impl Slot {
    fn is_connected(&self) -> bool {
        self.here.is_connected() || self.elsewhere.is_some()
    }

    /// When to look at it.
    fn due(&self, terms: Terms) -> Tick {
        if self.here.by_message() {
            self.last_seen.after(terms.timeout)
        } else if self.is_connected() {
            Tick(u32::MAX)
        } else {
            self.changed_at.after(terms.forget_after)
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Shard {
    slots: Vec<Slot>,
    free: u32,
    by_hash: HashTable<u32>,
    /// Slots in the order of their ids.
    order: Vec<u32>,
    /// The first client of each tick's list.
    wheel: Box<[u32]>,
    /// The last tick whose list was looked at.
    turned: Tick,
    /// What several other nodes say of a client, or more than its slot has room for.
    several: HashMap<u32, Box<[(Node, Claim)]>>,
    /// What other nodes say, by how many claims.
    claims: usize,
    /// Clients of which other nodes are to be told; none while nobody listens.
    untold: Vec<u32>,
    /// Whether other nodes are to be told of changes.
    telling: bool,
}

impl Shard {
    pub(super) fn new() -> Self {
        const { assert!(size_of::<Slot>() == 32, "a million clients are to take 128 bytes each") };
        Self {
            slots: Vec::new(),
            free: NONE,
            by_hash: HashTable::new(),
            order: Vec::new(),
            wheel: vec![NONE; WHEEL].into_boxed_slice(),
            turned: Tick(0),
            several: HashMap::new(),
            claims: 0,
            untold: Vec::new(),
            telling: false,
        }
    }

    pub(super) fn find(&self, hash: u64, id: &str) -> Option<u32> {
        self.by_hash.find(hash, |slot| *self.at(*slot).id == *id).copied()
    }

    /// Takes in a client that is not known, and not connected yet.
    pub(super) fn insert(
        &mut self,
        hasher: &RandomState,
        (hash, id): (u64, &str),
        terms: Terms,
        last_seen: Tick,
        now: Tick,
    ) -> u32 {
        let place = self.order.partition_point(|slot| *self.at(*slot).id < *id);
        let slot =
            Slot { id: id.into(), last_seen, changed_at: now, next: NONE, here: Here::default(), elsewhere: None };
        let index = match self.free {
            NONE => {
                make_room(&mut self.slots);
                self.slots.push(slot);
                // At most as many as there may be clients, which fits.
                (self.slots.len() - 1) as u32
            }
            free => {
                self.free = self.at(free).next;
                *self.at_mut(free) = slot;
                free
            }
        };
        make_room(&mut self.order);
        self.order.insert(place, index);
        let slots = &self.slots;
        self.by_hash.insert_unique(hash, index, |slot| hasher.hash_one(&*slots[*slot as usize].id));
        self.enlist(index, terms, now);
        index
    }

    /// It comes, or is still there.
    pub(super) fn come(&mut self, slot: u32, now: Tick) -> Outcome {
        self.set(slot, now, |slot| {
            slot.last_seen = now;
            slot.here.set_by_message(true);
        })
    }

    /// It goes, from other nodes too: there only its streams are left.
    pub(super) fn go(&mut self, slot: u32, now: Tick) -> Outcome {
        let outcome = self.set(slot, now, |slot| {
            slot.last_seen = now;
            slot.here.set_by_message(false);
        });
        let untold = self.note(slot, true);
        let streams = self.at(slot).here.streams() > 0 || self.claims(slot).any(|(_, claim)| claim.streams > 0);
        Outcome { ok: streams, untold, ..outcome }
    }

    /// A stream opens, unless it has too many; then the outcome is not ok.
    pub(super) fn open(&mut self, slot: u32, now: Tick) -> Outcome {
        if self.at(slot).here.streams() >= STREAMS_PER_CLIENT_MAX {
            return Outcome { ok: false, changed: false, untold: false };
        }
        self.set(slot, now, |slot| {
            slot.last_seen = now;
            slot.here.open();
        })
    }

    pub(super) fn keep(&mut self, slot: u32, now: Tick) {
        self.at_mut(slot).last_seen = now;
    }

    /// A stream ends.
    pub(super) fn close(&mut self, slot: u32, goodbye: bool, now: Tick) -> Outcome {
        let outcome = self.set(slot, now, |slot| {
            slot.here.close();
            slot.here.set_by_message(slot.here.by_message() && !goodbye);
        });
        Outcome { untold: outcome.untold || (goodbye && self.note(slot, true)), ..outcome }
    }

    fn set(&mut self, index: u32, now: Tick, set: impl FnOnce(&mut Slot)) -> Outcome {
        let slot = self.at_mut(index);
        let (before, claim) = (slot.is_connected(), slot.here.claim());
        set(slot);
        let ok = slot.is_connected();
        if ok != before {
            slot.changed_at = now;
        }
        let untold = slot.here.claim() != claim && self.note(index, false);
        Outcome { ok, changed: ok != before, untold }
    }

    pub(super) fn is_connected(&self, slot: u32) -> bool {
        self.at(slot).is_connected()
    }

    /// What is known of a client, with what other nodes say, of which something was heard then.
    pub(super) fn client(&self, index: u32, heard: &Heard) -> Client {
        let slot = self.at(index);
        let (mut streams, mut last_seen) = (slot.here.streams(), slot.last_seen);
        for (node, claim) in self.claims(index) {
            streams = streams.saturating_add(claim.streams);
            last_seen = last_seen.max(heard.of(node));
        }
        Client {
            id: (&*slot.id).into(),
            connected: slot.is_connected(),
            streams,
            last_seen: Some(last_seen),
            changed_at: slot.changed_at,
        }
    }

    /// Clients in the order of their ids, from `from` on, that one included or not.
    pub(super) fn range(&self, from: &str, included: bool, heard: &Heard) -> impl Iterator<Item = Client> {
        self.range_of_slots(from, included).iter().map(|slot| self.client(*slot, heard))
    }

    fn range_of_slots(&self, from: &str, included: bool) -> &[u32] {
        let start = self.order.partition_point(|slot| {
            let id = &*self.at(*slot).id;
            id < from || (!included && id == from)
        });
        &self.order[start..]
    }

    pub(super) fn count_below(&self, prefix: &str) -> usize {
        let start = self.order.partition_point(|slot| *self.at(*slot).id < *prefix);
        self.order[start..].partition_point(|slot| self.at(*slot).id.starts_with(prefix))
    }

    /// Looks at all who are due by `now`.
    pub(super) fn pass(&mut self, hasher: &RandomState, now: Tick, terms: Terms, tell: bool) -> Passed {
        let mut passed = Passed::default();
        // After a long pause one turn reaches everybody.
        let first = (self.turned.0 + 1).max(now.0.saturating_sub(WHEEL as u32 - 1));
        for tick in first..=now.0 {
            let mut index = mem::replace(&mut self.wheel[tick as usize % WHEEL], NONE);
            while index != NONE {
                let next = self.at(index).next;
                self.look(hasher, index, (terms, now, tell), &mut passed);
                index = next;
            }
        }
        self.turned = self.turned.max(now);
        passed
    }

    /// Looks at one whose turn it is, and puts it where it is due.
    fn look(&mut self, hasher: &RandomState, index: u32, (terms, now, tell): (Terms, Tick, bool), passed: &mut Passed) {
        let slot = self.at_mut(index);
        // Who is untold is not forgotten: other nodes hear of it by its slot.
        if slot.due(terms) <= now && (slot.is_connected() || !slot.here.is_untold()) {
            if !slot.is_connected() {
                passed.forgotten += 1;
                passed.forgotten_change = passed.forgotten_change.max(slot.changed_at);
                return self.remove(index, hasher);
            }
            let outcome = self.set(index, now, |slot| slot.here.set_by_message(false));
            passed.untold |= outcome.untold;
            if outcome.changed && tell {
                passed.gone.push((&*self.at(index).id).into());
            }
        }
        self.enlist(index, terms, now);
    }

    /// Puts a client that is in no list where it is due, or a timeout ahead if that is sooner: whatever it says until then, it
    /// cannot be due before.
    fn enlist(&mut self, index: u32, terms: Terms, now: Tick) {
        let now = now.max(self.turned);
        let horizon = Tick(terms.timeout.0.clamp(1, WHEEL as u32 - 1));
        let due = self.at(index).due(terms).min(now.after(horizon)).max(now.after(Tick(1)));
        let list = due.0 as usize % WHEEL;
        self.at_mut(index).next = self.wheel[list];
        self.wheel[list] = index;
    }

    /// Forgets a client that is in no list.
    fn remove(&mut self, index: u32, hasher: &RandomState) {
        let place = self.order.partition_point(|slot| self.at(*slot).id < self.at(index).id);
        self.order.remove(place);
        let free = self.free;
        let slot = self.at_mut(index);
        let id = mem::take(&mut slot.id);
        slot.next = free;
        self.free = index;
        if let Ok(found) = self.by_hash.find_entry(hasher.hash_one(&*id), |slot| *slot == index) {
            found.remove();
        }
    }

    fn at(&self, slot: u32) -> &Slot {
        &self.slots[slot as usize]
    }

    fn at_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[slot as usize]
    }
}

fn make_room<T>(vector: &mut Vec<T>) {
    if vector.len() == vector.capacity() {
        vector.reserve_exact(vector.len() / GROWTH + GROWTH);
    }
}
