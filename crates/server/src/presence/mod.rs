//! Which clients are connected: a table in memory that a restart empties and heartbeats fill again.
//!
//! Nothing here knows who calls or reads a clock: every method is told the [`Tick`] of now. [`Presence`] is all that the
//! use cases see, one method for each thing that can happen to a client. What other nodes say of clients is in the same
//! table, so lists and watches see clients, and not whose they are; [`Peers`] puts it there and tells them of ours.

mod claim;
mod elsewhere;
mod page;
mod peers;
mod shard;
mod tick;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

pub use peers::{PeerStats, Peers};
pub use tick::{TICK, Tick, Ticker};
pub use watch::{Changes, Filter, Lagged, WATCHED_MAX, Watch};

use elsewhere::Heard;
use shard::{Shard, Terms};
use watch::Watches;

/// Parts of the table that are locked each by itself.
const SHARDS: usize = 64;
/// Clients that a user may have devices for, unless they may speak for anybody: one caller alone must not fill the table.
pub const DEVICES_PER_USER_MAX: usize = 100;
/// Streams that a client may have open.
pub const STREAMS_PER_CLIENT_MAX: u16 = 1_000;

/// How presence is kept.
#[derive(Clone, Copy, Debug)]
pub struct PresenceOptions {
    /// A client that is silent for this long is gone.
    pub timeout: Duration,
    /// A client that is gone is known for this long.
    pub forget_after: Duration,
    /// Clients that may be known, those of other nodes among them.
    pub clients_max: usize,
    /// A watch in which nothing happens says so this often.
    pub watch_heartbeat: Duration,
}

impl Default for PresenceOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            forget_after: Duration::from_secs(600),
            clients_max: 1_000_000,
            watch_heartbeat: Duration::from_secs(15),
        }
    }
}

/// What a client says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It comes.
    Hello,
    /// It goes.
    Goodbye,
    /// It asks whether it is there.
    Ping,
    /// It is still there.
    Heartbeat,
}

/// What is known of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: Arc<str>,
    /// Whether it is connected.
    pub connected: bool,
    /// Streams that it has open.
    pub streams: u16,
    /// When something was last heard of it, or of a node on which it is connected; `None` if it was forgotten meanwhile.
    pub last_seen: Option<Tick>,
    changed_at: Tick,
}

/// Why a client cannot be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Who is connected. See the [module](self).
#[derive(Debug)]
pub struct Presence {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    terms: Terms,
    clients_max: usize,
    clients: AtomicUsize,
    streams: AtomicUsize,
    /// The latest change of a client that was forgotten since.
    forgotten: AtomicU32,
    watches: Watches,
    /// When something was last heard of other nodes.
    heard: Heard,
    /// Rings when other nodes are to be told something.
    untold: Notify,
    stats: Arc<PeerStats>,
}

impl Presence {
    /// Nobody yet.
    #[must_use]
    pub fn new(options: &PresenceOptions) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
            terms: Terms { timeout: Tick::of(options.timeout), forget_after: Tick::of(options.forget_after) },
            clients_max: options.clients_max,
            clients: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            forgotten: AtomicU32::new(0),
            watches: Watches::default(),
            heard: Heard::default(),
            untold: Notify::new(),
            stats: Arc::default(),
        }
    }

    /// Takes what a client says, outside of any stream; gives whether it is connected then. Whoever has a `quota`, such
    /// as `ada/`, may add no more clients below it than [`DEVICES_PER_USER_MAX`]; calls at the same time may exceed it by
    /// one each.
    ///
    /// # Errors
    /// The client is new, and there is no room for it.
    pub fn say(&self, id: &str, said: Said, quota: Option<&str>, now: Tick) -> Result<bool, Full> {
        if matches!(said, Said::Ping) {
            let hash = self.hash(id);
            let shard = self.shard(hash);
            return Ok(shard.find(hash, id).is_some_and(|slot| shard.is_connected(slot)));
        }
        let goodbye = said == Said::Goodbye;
        let act = |shard: &mut Shard, slot| if goodbye { shard.go(slot, now) } else { shard.come(slot, now) };
        match self.change(id, !goodbye, quota, act, now) {
            // Who is not known is not connected, which is all that a goodbye wants.
            Err(Full) if goodbye => Ok(false),
            result => result,
        }
    }

    /// A stream of a client opens.
    ///
    /// # Errors
    /// The client is new and there is no room for it, or it has too many streams.
    pub fn open(&self, id: &str, quota: Option<&str>, now: Tick) -> Result<(), Full> {
        match self.change(id, true, quota, |shard, slot| shard.open(slot, now), now) {
            Ok(true) => {
                self.streams.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Ok(false) | Err(Full) => Err(Full),
        }
    }

    /// Something was heard on a stream of a client.
    pub fn keep(&self, id: &str, now: Tick) {
        let hash = self.hash(id);
        let mut shard = self.shard(hash);
        if let Some(slot) = shard.find(hash, id) {
            shard.keep(slot, now);
        }
    }

    /// A stream of a client ends, one that was opened; with a goodbye, so does what was said outside of streams.
    pub fn close(&self, id: &str, goodbye: bool, now: Tick) {
        // One too many is no reason for a nonsensical number.
        let _ = self.streams.try_update(Ordering::Relaxed, Ordering::Relaxed, |streams| streams.checked_sub(1));
        let hash = self.hash(id);
        let mut shard = self.shard(hash);
        let Some(slot) = shard.find(hash, id) else { return };
        let outcome = shard.close(slot, goodbye, now);
        drop(shard);
        if outcome.changed {
            self.watches.publish(id, now);
        }
        if outcome.untold {
            self.untold.notify_one();
        }
    }

    /// What is known of a client.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Client> {
        let hash = self.hash(id);
        let shard = self.shard(hash);
        shard.find(hash, id).map(|slot| shard.client(slot, &self.heard))
    }

    /// How many clients are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// How many streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// How many watches there are, with the ids that they name.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.watches.watched()
    }

    /// Whether no client is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has time pass: who was silent for too long is gone, and who has been gone for long is forgotten. Looks at each
    /// client about once a timeout, whatever they say.
    pub fn pass(&self, now: Tick) {
        // Nearly full of clients that are gone, the table has no room to remember them.
        let terms = if self.is_nearly_full() { Terms { forget_after: Tick(0), ..self.terms } } else { self.terms };
        for shard in &self.shards {
            let mut shard = lock(shard);
            let passed = shard.pass(&self.hasher, now, terms, !self.watches.is_empty());
            // Under the lock: a watch that does not find somebody here any more sees this.
            self.forgotten.fetch_max(passed.forgotten_change.0, Ordering::Relaxed);
            drop(shard);
            self.clients.fetch_sub(passed.forgotten, Ordering::Relaxed);
            for id in passed.gone {
                self.watches.publish(&id, now);
            }
            if passed.untold {
                self.untold.notify_one();
            }
        }
    }

    /// Does something to a client, which is taken in if it is not known; gives what that gives: whether it is connected.
    fn change(
        &self,
        id: &str,
        connects: bool,
        quota: Option<&str>,
        act: impl Fn(&mut Shard, u32) -> shard::Outcome,
        now: Tick,
    ) -> Result<bool, Full> {
        let hash = self.hash(id);
        let mut shard = self.shard(hash);
        let known = shard.find(hash, id);
        let (slot, is_new) = match known {
            Some(slot) => (slot, false),
            None => {
                drop(shard);
                self.make_room(quota)?;
                shard = self.shard(hash);
                // Another call may have been faster.
                let known = shard.find(hash, id);
                if known.is_some() {
                    self.clients.fetch_sub(1, Ordering::Relaxed);
                }
                let slot = known.unwrap_or_else(|| shard.insert(&self.hasher, (hash, id), self.terms, now, now));
                (slot, known.is_none())
            }
        };
        let outcome = act(&mut shard, slot);
        drop(shard);
        if outcome.changed || (is_new && !connects) {
            self.watches.publish(id, now);
        }
        if outcome.untold {
            self.untold.notify_one();
        }
        Ok(outcome.ok)
    }

    /// Counts one more client, if there is room for it.
    fn make_room(&self, quota: Option<&str>) -> Result<(), Full> {
        if quota.is_some_and(|prefix| self.count_below(prefix) >= DEVICES_PER_USER_MAX) {
            return Err(Full);
        }
        let counted = self.clients.try_update(Ordering::Relaxed, Ordering::Relaxed, |clients| {
            (clients < self.clients_max).then_some(clients + 1)
        });
        counted.map(|_| ()).map_err(|_| Full)
    }

    fn is_nearly_full(&self) -> bool {
        self.len() >= self.clients_max - self.clients_max / 10
    }

    fn count_below(&self, prefix: &str) -> usize {
        self.shards.iter().map(|shard| lock(shard).count_below(prefix)).sum()
    }

    fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table of a shard looks at the lowest and the highest bits.
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }
}

/// A shard is whole after every step, whoever panicked.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
