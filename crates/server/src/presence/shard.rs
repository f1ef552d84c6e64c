//! A part of the table: clients in slots, found by hash, kept in the order of their ids, and on a wheel of time.
//!
//! A client takes a slot of 32 bytes, its id, 4 bytes in the order and about 11 in the hash table. The wheel is a list
//! through the slots themselves for each of the next ticks. A client stays where it is on the wheel when it speaks: when its turn
//! comes it is looked at, and put where it is due by then. So a heartbeat is one look into the hash table and one store.

use std::{
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::Arc,
};

use hashbrown::HashTable;

use super::{Client, STREAMS_PER_CLIENT_MAX, Tick};

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
    streams: u16,
    /// Connected by what was said outside of streams.
    by_message: bool,
}

impl Slot {
    fn is_connected(&self) -> bool {
        self.by_message || self.streams > 0
    }

    /// When to look at it.
    fn due(&self, terms: Terms) -> Tick {
        if self.by_message {
            self.last_seen.after(terms.timeout)
        } else if self.streams > 0 {
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
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: NONE,
            by_hash: HashTable::new(),
            order: Vec::new(),
            wheel: vec![NONE; WHEEL].into_boxed_slice(),
            turned: Tick(0),
        }
    }

    pub(super) fn find(&self, hash: u64, id: &str) -> Option<u32> {
        self.by_hash.find(hash, |slot| *self.at(*slot).id == *id).copied()
    }

    /// Takes in a client that is not known, and not connected yet.
    pub(super) fn insert(&mut self, hasher: &RandomState, hash: u64, id: &str, terms: Terms, now: Tick) -> u32 {
        let place = self.order.partition_point(|slot| *self.at(*slot).id < *id);
        let slot = Slot { id: id.into(), last_seen: now, changed_at: now, next: NONE, streams: 0, by_message: false };
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

    /// It comes, is still there, or goes.
    pub(super) fn say(&mut self, slot: u32, comes: bool, now: Tick) -> Outcome {
        self.set(slot, now, |slot| {
            slot.last_seen = now;
            slot.by_message = comes;
        })
    }

    /// A stream opens, unless it has too many; then the outcome is not ok.
    pub(super) fn open(&mut self, slot: u32, now: Tick) -> Outcome {
        if self.at(slot).streams >= STREAMS_PER_CLIENT_MAX {
            return Outcome { ok: false, changed: false };
        }
        self.set(slot, now, |slot| {
            slot.last_seen = now;
            slot.streams += 1;
        })
    }

    pub(super) fn keep(&mut self, slot: u32, now: Tick) {
        self.at_mut(slot).last_seen = now;
    }

    /// A stream ends; gives whether the client is gone by it.
    pub(super) fn close(&mut self, slot: u32, goodbye: bool, now: Tick) -> bool {
        let set = |slot: &mut Slot| {
            slot.streams = slot.streams.saturating_sub(1);
            slot.by_message &= !goodbye;
        };
        self.set(slot, now, set).changed
    }

    fn set(&mut self, slot: u32, now: Tick, set: impl FnOnce(&mut Slot)) -> Outcome {
        let slot = self.at_mut(slot);
        let before = slot.is_connected();
        set(slot);
        let ok = slot.is_connected();
        if ok != before {
            slot.changed_at = now;
        }
        Outcome { ok, changed: ok != before }
    }

    pub(super) fn is_connected(&self, slot: u32) -> bool {
        self.at(slot).is_connected()
    }

    pub(super) fn client(&self, slot: u32) -> Client {
        let slot = self.at(slot);
        Client {
            id: (&*slot.id).into(),
            connected: slot.is_connected(),
            streams: slot.streams,
            last_seen: Some(slot.last_seen),
            changed_at: slot.changed_at,
        }
    }

    /// Clients in the order of their ids, from `from` on, that one included or not.
    pub(super) fn range(&self, from: &str, included: bool) -> impl Iterator<Item = Client> {
        let start = self.order.partition_point(|slot| {
            let id = &*self.at(*slot).id;
            id < from || (!included && id == from)
        });
        self.order[start..].iter().map(|slot| self.client(*slot))
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
        if slot.due(terms) <= now {
            if !slot.is_connected() {
                passed.forgotten += 1;
                passed.forgotten_change = passed.forgotten_change.max(slot.changed_at);
                return self.remove(index, hasher);
            }
            slot.by_message = false;
            if !slot.is_connected() {
                slot.changed_at = now;
                if tell {
                    passed.gone.push((&*slot.id).into());
                }
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
