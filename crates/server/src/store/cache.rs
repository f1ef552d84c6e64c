//! Users kept in memory, never older than what the database holds.
//!
//! The writer suspends a user before its commit and resumes it after, so in between every reader
//! goes to the database. A reader takes a ticket before it reads and may only fill with it while
//! the user's shard has not been written to since: a late reader cannot bring the past back.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use quick_cache::{Weighter, sync::Cache};

use super::StoredUser;
use crate::{
    metrics::{Counter, Page, names::STORE_CACHE},
    model::UserId,
};

/// More shards than threads that could meet in one.
pub(super) const SHARDS: usize = 64;
/// What an entry costs beyond the bytes of its user: map slot and the header of the allocation.
pub(super) const ENTRY_OVERHEAD_BYTES: usize = 160;

/// Users that the map has room for from the start. It grows; room for all would be memory at rest.
const EXPECTED_USERS: usize = 4_096;

/// A bounded map of current users.
#[derive(Debug)]
pub struct UserCache {
    users: Option<Cache<UserId, Box<[u8]>, ByBytes>>,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    hits: Counter,
    misses: Counter,
}

#[derive(Debug, Default)]
struct Shard {
    /// Grows with every write to a user of this shard.
    epoch: u64,
    /// Users of this shard with a commit under way.
    suspended: u32,
}

/// The state of a user's shard before a read; see [`UserCache::fill`].
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    shard: usize,
    epoch: u64,
}

impl UserCache {
    /// A cache of about `capacity_bytes`; 0 keeps nothing.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        Self {
            users: (capacity_bytes > 0).then(|| Cache::with_weighter(EXPECTED_USERS, capacity_bytes, ByBytes)),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }

    /// The user, if it is here.
    pub fn get(&self, id: &UserId) -> Option<StoredUser> {
        // A copy: a reference count would be one more place in memory to wait for.
        let user = self.users.as_ref()?.get(id).map(|bytes| StoredUser::from_bytes(bytes.into()));
        if user.is_some() {
            self.hits.increment();
        }
        user
    }

    /// To take before reading the user from the database.
    pub fn ticket(&self, id: &UserId) -> Ticket {
        // Who asks for one did not find the user here.
        self.misses.increment();
        let shard = self.shard_of(id);
        Ticket { shard, epoch: self.lock(shard).epoch }
    }

    /// Keeps what was read, unless a write has come between.
    pub fn fill(&self, ticket: Ticket, id: &UserId, user: &StoredUser) {
        let Some(users) = &self.users else { return };
        let shard = self.lock(ticket.shard);
        if shard.epoch == ticket.epoch && shard.suspended == 0 {
            users.insert(id.clone(), user.as_bytes()[..].into());
        }
    }

    /// Puts the looks for users on the page.
    pub fn report(&self, page: &mut Page) {
        page.value(&STORE_CACHE, &["hit"], self.hits.get());
        page.value(&STORE_CACHE, &["miss"], self.misses.get());
    }

    /// To call before a commit that touches the user.
    pub fn suspend(&self, id: &UserId) {
        let Some(users) = &self.users else { return };
        let mut shard = self.lock(self.shard_of(id));
        shard.epoch += 1;
        shard.suspended += 1;
        users.remove(id);
    }

    /// To call after that commit, with the user as it now is, or `None` if it is gone or that is not known.
    pub fn resume(&self, id: &UserId, user: Option<&StoredUser>) {
        let Some(users) = &self.users else { return };
        let mut shard = self.lock(self.shard_of(id));
        shard.epoch += 1;
        shard.suspended -= 1;
        match user {
            Some(user) => users.insert(id.clone(), user.as_bytes()[..].into()),
            None => drop(users.remove(id)),
        }
    }

    fn shard_of(&self, id: &UserId) -> usize {
        // The remainder is below SHARDS, so it fits.
        (self.hasher.hash_one(id) % SHARDS as u64) as usize
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        // Nothing panics while it holds the lock; if it did, two counters are still two counters.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Weighs a user by the memory it takes.
#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<UserId, Box<[u8]>> for ByBytes {
    fn weight(&self, _: &UserId, user: &Box<[u8]>) -> u64 {
        (ENTRY_OVERHEAD_BYTES + user.len()) as u64
    }
}
