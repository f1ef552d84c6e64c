//! What was read lately, each with when it was read: for reads that may be old by a time of their own.
//!
//! Unlike [`cache`](super::cache), which holds nothing that is not current, this may hold what others have changed since.
//! What it knows of an entry is when the read of it *began*: the entry shows all that was done before that.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use quick_cache::{Weighter, sync::Cache};

use super::cache::{ENTRY_OVERHEAD_BYTES, SHARDS};
use crate::model::{Staleness, UserId};

/// Entries that the map has room for from the start.
const EXPECTED_ENTRIES: usize = 1_024;

/// What can be kept.
pub(super) trait Weigh: Clone {
    /// Bytes that it takes beyond its own struct, about.
    fn heap_bytes(&self) -> usize;
}

/// A bounded map of what was read of users.
pub(super) struct AgedCache<V: Weigh> {
    /// `None` keeps nothing.
    entries: Option<Cache<UserId, Aged<V>, ByBytes>>,
    /// For each shard of ids, since when its users are known not to have changed: what was read before is not kept.
    shards: Box<[Mutex<Instant>]>,
    hasher: RandomState,
}

/// An entry.
#[derive(Clone)]
struct Aged<V> {
    /// When its read began.
    began: Instant,
    value: V,
}

impl<V: Weigh> AgedCache<V> {
    /// A map of about `capacity_bytes`; 0 keeps nothing.
    pub(super) fn new(capacity_bytes: u64) -> Self {
        let now = Instant::now();
        Self {
            entries: (capacity_bytes > 0).then(|| Cache::with_weighter(EXPECTED_ENTRIES, capacity_bytes, ByBytes)),
            shards: (0..SHARDS).map(|_| Mutex::new(now)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// What was read of the user, if that is recent enough for a read that begins now.
    pub(super) fn get(&self, id: &UserId, staleness: Staleness) -> Option<V> {
        let entry = self.entries.as_ref()?.get(id)?;
        (entry.began.elapsed() <= staleness.duration()).then_some(entry.value)
    }

    /// Keeps what a read that began then has shown, unless a later one is here or the user is known to have changed since.
    pub(super) fn fill(&self, id: &UserId, began: Instant, value: V) {
        let Some(entries) = &self.entries else { return };
        let unchanged_since = self.lock(self.shard_of(id));
        if began >= *unchanged_since && entries.peek(id).is_none_or(|entry| entry.began < began) {
            entries.insert(id.clone(), Aged { began, value });
        }
    }

    /// Drops what was read of a user who has changed, and what is being read.
    pub(super) fn forget(&self, id: &UserId) {
        let Some(entries) = &self.entries else { return };
        let mut unchanged_since = self.lock(self.shard_of(id));
        *unchanged_since = Instant::now();
        entries.remove(id);
    }

    /// Drops all.
    pub(super) fn forget_all(&self) {
        let Some(entries) = &self.entries else { return };
        for shard in 0..self.shards.len() {
            *self.lock(shard) = Instant::now();
        }
        entries.clear();
    }

    fn shard_of(&self, id: &UserId) -> usize {
        // The remainder is below SHARDS, so it fits.
        (self.hasher.hash_one(id) % SHARDS as u64) as usize
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Instant> {
        // A time is a time, whoever panicked while it was locked.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Weigh> fmt::Debug for AgedCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.as_ref().map_or(0, Cache::len);
        f.debug_struct("AgedCache").field("entries", &entries).finish_non_exhaustive()
    }
}

/// Weighs an entry by the memory it takes.
#[derive(Clone, Debug)]
struct ByBytes;

impl<V: Weigh> Weighter<UserId, Aged<V>> for ByBytes {
    fn weight(&self, _: &UserId, entry: &Aged<V>) -> u64 {
        (ENTRY_OVERHEAD_BYTES + size_of::<Aged<V>>() + entry.value.heap_bytes()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    impl Weigh for Vec<u8> {
        fn heap_bytes(&self) -> usize {
            self.len()
        }
    }

    const HOUR: Duration = Duration::from_hours(1);

    fn id(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn hour() -> Staleness {
        Staleness::of(HOUR)
    }

    #[test]
    fn an_entry_is_as_old_as_the_beginning_of_its_read() {
        let cache = AgedCache::new(1 << 20);
        // The shards know of nothing before they were made.
        let began = Instant::now();
        cache.fill(&id("ada"), began, vec![1]);
        assert_eq!(cache.get(&id("ada"), hour()), Some(vec![1]));
        while began.elapsed() <= Duration::from_millis(2) {}
        assert_eq!(cache.get(&id("ada"), Staleness::of(Duration::from_millis(2))), None);
        assert_eq!(cache.get(&id("ada"), Staleness::NONE), None);
        assert_eq!(cache.get(&id("ada"), hour()), Some(vec![1]));
    }

    #[test]
    fn a_late_read_brings_nothing_back() {
        let cache = AgedCache::new(1 << 20);
        let (early, late) = (Instant::now(), Instant::now() + Duration::from_millis(1));
        cache.fill(&id("ada"), late, vec![2]);
        cache.fill(&id("ada"), early, vec![1]);
        assert_eq!(cache.get(&id("ada"), hour()), Some(vec![2]));
        let before = Instant::now();
        cache.forget(&id("bea"));
        cache.fill(&id("bea"), before, vec![1]);
        assert_eq!(cache.get(&id("bea"), hour()), None);
        cache.forget_all();
        cache.fill(&id("cleo"), before, vec![1]);
        assert_eq!((cache.get(&id("ada"), hour()), cache.get(&id("cleo"), hour())), (None, None));
        cache.fill(&id("cleo"), Instant::now(), vec![3]);
        assert_eq!(cache.get(&id("cleo"), hour()), Some(vec![3]));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        const ROOM: u64 = 1 << 20;
        let cache = AgedCache::new(ROOM);
        for number in 0..10_000 {
            cache.fill(&id(&format!("user{number}")), Instant::now(), vec![0; 1_000]);
        }
        let entries = cache.entries.as_ref().unwrap();
        assert!(entries.weight() <= ROOM && entries.len() > 100, "{} of {}", entries.len(), entries.weight());
        let none = AgedCache::new(0);
        none.fill(&id("ada"), Instant::now(), vec![1]);
        assert_eq!(none.get(&id("ada"), hour()), None);
    }
}
