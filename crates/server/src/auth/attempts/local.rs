//! What a server has counted itself, and what it has heard that others have.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZero,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Attempt, AttemptLimits, Locked, Target};
use crate::model::Timestamp;

/// The first delay; each further failure doubles it.
pub(super) const DELAY_FIRST: Duration = Duration::from_secs(1);
/// The longest delay.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// One failure of an account is forgotten in so long: whoever waits for that guesses no faster than the longest delay
/// lets.
const ACCOUNT_FORGETS: Duration = Duration::from_secs(3_600);
/// Many people may share an address, so it forgets faster.
const ADDRESS_FORGETS: Duration = Duration::from_secs(60);
/// Accounts, logins and addresses that are counted: a few megabytes.
const ENTRIES_MAX: usize = 100_000;

/// All that is counted here.
pub(super) struct Local {
    pub(super) limits: AttemptLimits,
    /// What names are digested with.
    digests: Hmac<Sha256>,
    entries: Mutex<HashMap<Key, Entry>>,
    /// Some entries are ahead.
    is_ahead: AtomicBool,
}

/// Whose failures are counted: a digest of a name, so that each takes the same room however long it is, and so that nobody
/// who sees it elsewhere can tell whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) digest: [u8; 16],
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// An account, or a login that names none.
    Account,
    /// An address, or a network.
    Address,
}

impl Kind {
    /// How long a failure counts.
    pub(super) fn forgets(self) -> Duration {
        match self {
            Self::Account => ACCOUNT_FORGETS,
            Self::Address => ADDRESS_FORGETS,
        }
    }

    /// Failures without delay.
    pub(super) fn free(self, limits: AttemptLimits) -> NonZero<u32> {
        match self {
            Self::Account => limits.per_account,
            Self::Address => limits.per_address,
        }
    }
}

/// What is known of a key, whoever's clock it is told by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) failures: u32,
    /// How long ago one of them was last forgotten, or the first was counted.
    pub(super) age: Duration,
    /// For how long the key is locked.
    pub(super) locked: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    /// When one of them was last forgotten, or the first was counted.
    since: Timestamp,
    locked_until: Timestamp,
    /// Somebody met this lock already.
    met: bool,
    /// It was counted here alone: those who share do not know it.
    is_ahead: bool,
}

impl Local {
    pub(super) fn new(limits: AttemptLimits, secret: [u8; 32]) -> Self {
        let mut block = [0; 64];
        block[..32].copy_from_slice(&secret);
        let digests = Hmac::new(&block.into());
        Self { limits, digests, entries: Mutex::default(), is_ahead: AtomicBool::new(false) }
    }

    /// An attempt that is not counted yet.
    pub(super) fn attempt(&self, target: Target<'_>, address: Option<IpAddr>) -> Attempt {
        let account = self.account_key(target);
        Attempt { account, address: address.map(|address| self.address_key(address)), is_shared: false }
    }

    /// Counts an attempt, or says how long it must wait; nothing is counted then.
    pub(super) fn begin(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Locked> {
        let mut entries = self.lock();
        make_room(&mut entries, now);
        for key in attempt.keys() {
            if let Some(locked) = entries.get_mut(&key).and_then(|entry| entry.locked(now)) {
                return Err(locked);
            }
        }
        for key in attempt.keys() {
            count(&mut entries, key, key.kind.free(self.limits), now);
        }
        self.is_ahead.store(true, Relaxed);
        Ok(())
    }

    /// See [`Attempts::succeeded`](super::Attempts::succeeded).
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let mut entries = self.lock();
        entries.remove(&attempt.account);
        if let Some(address) = attempt.address {
            take_back(&mut entries, address, self.limits.per_address);
        }
    }

    /// See [`Attempts::unjudged`](super::Attempts::unjudged).
    pub(super) fn unjudged(&self, attempt: &Attempt) {
        let mut entries = self.lock();
        for key in attempt.keys() {
            take_back(&mut entries, key, key.kind.free(self.limits));
        }
    }

    /// The key starts afresh.
    pub(super) fn forget(&self, key: Key) {
        self.lock().remove(&key);
    }

    /// How many keys are remembered.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// What is known of a key here, and whether it is known here alone.
    pub(super) fn standing(&self, key: Key, now: Timestamp) -> (Standing, bool) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&key) else { return Default::default() };
        entry.settle(key.kind, now);
        (entry.standing(now), entry.is_ahead)
    }

    /// Takes in what others know of a key, in place of what was known here.
    pub(super) fn take_in(&self, key: Key, standing: Standing, now: Timestamp) {
        let mut entries = self.lock();
        if standing.failures == 0 && standing.locked.is_zero() {
            entries.remove(&key);
            return;
        }
        make_room(&mut entries, now);
        let since = Timestamp(now.0.saturating_sub(micros(standing.age)));
        let locked_until = match standing.locked {
            Duration::ZERO => Timestamp(0),
            locked => Timestamp(now.0.saturating_add(micros(locked.min(DELAY_MAX)))),
        };
        let failures = standing.failures.min(key.kind.free(self.limits).get().saturating_add(LONGEST_AFTER));
        entries.insert(key, Entry { failures, since, locked_until, met: false, is_ahead: false });
    }

    /// All that is known here alone. It counts as told.
    pub(super) fn take_ahead(&self, now: Timestamp) -> Vec<(Key, Standing)> {
        let mut ahead = Vec::new();
        if !self.is_ahead.swap(false, Relaxed) {
            return ahead;
        }
        for (key, entry) in self.lock().iter_mut().filter(|(_, entry)| entry.is_ahead) {
            entry.is_ahead = false;
            entry.settle(key.kind, now);
            ahead.push((*key, entry.standing(now)));
        }
        ahead
    }

    /// These were not told after all.
    pub(super) fn put_ahead(&self, keys: impl Iterator<Item = Key>) {
        let mut entries = self.lock();
        for key in keys {
            if let Some(entry) = entries.get_mut(&key) {
                entry.is_ahead = true;
            }
        }
        self.is_ahead.store(true, Relaxed);
    }

    pub(super) fn account_key(&self, target: Target<'_>) -> Key {
        match target {
            Target::Account(id) => self.key(Kind::Account, "account", id.to_text().as_bytes()),
            Target::Nobody(login) => self.key(Kind::Account, "nobody", login.as_bytes()),
        }
    }

    /// Whoever has one address of IPv6 has the other 2^64 of its network.
    fn address_key(&self, address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => self.key(Kind::Address, "address", &address.octets()),
            IpAddr::V6(address) => self.key(Kind::Address, "network", &address.octets()[..8]),
        }
    }

    fn key(&self, kind: Kind, what: &str, name: &[u8]) -> Key {
        let mut mac = self.digests.clone();
        mac.update(what.as_bytes());
        mac.update(&[0]);
        mac.update(name);
        let mut digest = [0; 16];
        digest.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Key { kind, digest }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        // No code under the lock can leave the map half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Forgets what is old enough.
    fn settle(&mut self, kind: Kind, now: Timestamp) {
        let elapsed = now.0.saturating_sub(self.since.0).max(0);
        let each = micros(kind.forgets());
        let forgotten = u32::try_from(elapsed / each).unwrap_or(u32::MAX).min(self.failures);
        self.failures -= forgotten;
        self.since = Timestamp(self.since.0.saturating_add(i64::from(forgotten) * each));
    }

    fn locked(&mut self, now: Timestamp) -> Option<Locked> {
        let wait = self.locked_until.0.saturating_sub(now.0);
        let retry_after = Duration::from_micros(u64::try_from(wait).ok().filter(|wait| *wait > 0)?);
        Some(Locked { retry_after, first: !std::mem::replace(&mut self.met, true) })
    }

    fn is_over(&mut self, kind: Kind, now: Timestamp) -> bool {
        self.settle(kind, now);
        self.failures == 0 && self.locked_until <= now
    }

    fn standing(&self, now: Timestamp) -> Standing {
        let micros = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        Standing {
            failures: self.failures,
            age: micros(now.0.saturating_sub(self.since.0)),
            locked: micros(self.locked_until.0.saturating_sub(now.0)),
        }
    }
}

fn count(entries: &mut HashMap<Key, Entry>, key: Key, free: NonZero<u32>, now: Timestamp) {
    let fresh = Entry { failures: 0, since: now, locked_until: Timestamp(0), met: false, is_ahead: true };
    let entry = entries.entry(key).or_insert(fresh);
    entry.is_ahead = true;
    entry.settle(key.kind, now);
    if entry.failures == 0 {
        entry.since = now;
    }
    entry.failures = entry.failures.saturating_add(1);
    if let Some(doublings) = entry.failures.checked_sub(free.get()) {
        let delay = DELAY_FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(DELAY_MAX);
        entry.locked_until = Timestamp(now.0.saturating_add(micros(delay)));
        entry.met = false;
        // Beyond the longest delay nothing grows any more, and all is forgotten in time.
        entry.failures = entry.failures.min(free.get().saturating_add(LONGEST_AFTER));
    }
}

/// Doublings after which the delay is the longest.
pub(super) const LONGEST_AFTER: u32 = 10;

fn take_back(entries: &mut HashMap<Key, Entry>, key: Key, free: NonZero<u32>) {
    if let Some(entry) = entries.get_mut(&key) {
        entry.failures = entry.failures.saturating_sub(1);
        if entry.failures < free.get() {
            entry.locked_until = Timestamp(0);
        }
        if entry.failures == 0 {
            entries.remove(&key);
        }
    }
}

/// Forgets what is over, and if that is not enough, whoever failed least.
fn make_room(entries: &mut HashMap<Key, Entry>, now: Timestamp) {
    // Two are about to come.
    if entries.len() + 2 <= ENTRIES_MAX {
        return;
    }
    entries.retain(|key, entry| !entry.is_over(key.kind, now));
    let mut least = 1;
    while entries.len() > ENTRIES_MAX / 4 * 3 {
        entries.retain(|_, entry| entry.failures > least);
        least += 1;
    }
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserId;

    const START: i64 = 1_767_225_600_000_000;

    /// As the one server that there is has it.
    struct Attempts(Local);

    impl Attempts {
        fn begin(&self, target: Target<'_>, address: Option<IpAddr>, now: Timestamp) -> Result<Attempt, Locked> {
            let attempt = self.0.attempt(target, address);
            self.0.begin(&attempt, now).map(|()| attempt)
        }
    }

    fn attempts(per_account: u32, per_address: u32) -> Attempts {
        let of = |number| NonZero::new(number).unwrap();
        let limits = AttemptLimits { per_account: of(per_account), per_address: of(per_address) };
        Attempts(Local::new(limits, [0; 32]))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(START + seconds * 1_000_000)
    }

    fn ada() -> UserId {
        UserId::parse("ada").unwrap()
    }

    fn wait(outcome: Result<Attempt, Locked>) -> Option<u64> {
        outcome.err().map(|locked| locked.retry_after.as_secs())
    }

    #[test]
    fn delays_grow_and_end_at_the_longest() {
        let attempts = attempts(5, 1_000);
        let (ada, mut now) = (ada(), 0);
        for target in [Target::Account(&ada), Target::Nobody("ada@example.com")] {
            for _ in 0..5 {
                assert_eq!(wait(attempts.begin(target, None, at(now))), None);
            }
            for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
                assert_eq!(wait(attempts.begin(target, None, at(now))), Some(delay));
                let locked = attempts.begin(target, None, at(now + delay as i64 - 1)).unwrap_err();
                assert_eq!(locked, Locked { retry_after: Duration::from_secs(1), first: false });
                now += delay as i64;
                assert_eq!(wait(attempts.begin(target, None, at(now))), None, "after {delay}");
            }
        }
    }

    #[test]
    fn being_right_or_a_new_password_starts_afresh() {
        let attempts = attempts(5, 1_000);
        let ada = ada();
        let begin = || attempts.begin(Target::Account(&ada), None, at(0));
        for _ in 0..3 {
            for _ in 0..4 {
                begin().unwrap();
            }
            attempts.0.succeeded(&begin().unwrap());
        }
        for _ in 0..5 {
            begin().unwrap();
        }
        assert_eq!(begin().unwrap_err(), Locked { retry_after: Duration::from_secs(1), first: true });
        attempts.0.forget(attempts.0.account_key(Target::Account(&ada)));
        attempts.0.unjudged(&begin().unwrap());
        assert!(attempts.0.lock().is_empty());
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let attempts = attempts(5, 1_000);
        let ada = ada();
        let begin = |now| wait(attempts.begin(Target::Account(&ada), None, at(now)));
        for _ in 0..5 {
            assert_eq!(begin(0), None);
        }
        // Two of five are forgotten: two are free again, and then it goes on where it was.
        let now = 2 * 3_600 + 1;
        assert_eq!([begin(now), begin(now), begin(now)], [None, None, Some(1)]);
        // The clock may be put back.
        assert_eq!(begin(0), Some(now as u64 + 1));
    }

    #[test]
    fn of_500_guesses_at_once_as_many_are_looked_at_as_are_free() {
        let attempts = attempts(5, 1_000);
        let ada = ada();
        let begin = || attempts.begin(Target::Account(&ada), None, at(0)).is_ok();
        let looked_at = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..500).map(|_| scope.spawn(begin)).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|looked_at| *looked_at).count()
        });
        assert_eq!(looked_at, 5);
    }

    #[test]
    fn addresses_are_counted_by_network_across_accounts() {
        let attempts = attempts(5, 10);
        let begin = |login: usize, address: &str, now| {
            wait(attempts.begin(Target::Nobody(&login.to_string()), Some(address.parse().unwrap()), at(now)))
        };
        for login in 0..10 {
            assert_eq!(begin(login, "2001:db8:1:2::1", 0), None);
            assert_eq!(begin(100 + login, "192.0.2.1", 0), None);
        }
        assert_eq!(begin(11, "2001:db8:1:2:ffff::9", 0), Some(1));
        assert_eq!(begin(11, "::ffff:192.0.2.1", 0), Some(1));
        assert_eq!(begin(12, "2001:db8:1:3::1", 0), None);
        assert_eq!(begin(13, "192.0.2.2", 0), None);
        // A right password takes back its own attempt and no other.
        let address = Some("192.0.2.1".parse().unwrap());
        let attempt = attempts.begin(Target::Account(&ada()), address, at(1)).unwrap();
        assert_eq!(begin(14, "192.0.2.1", 1), Some(2));
        attempts.0.succeeded(&attempt);
        assert_eq!(begin(14, "192.0.2.1", 3), None);
        assert_eq!(begin(15, "192.0.2.1", 3), Some(2));
    }

    #[test]
    fn what_others_know_is_taken_in_and_what_they_do_not_is_told_once() {
        let attempts = attempts(5, 1_000);
        let ada = ada();
        let key = attempts.0.account_key(Target::Account(&ada));
        let locked = Standing { failures: 7, age: Duration::from_secs(5), locked: Duration::from_secs(4) };
        attempts.0.take_in(key, locked, at(0));
        assert_eq!(attempts.0.standing(key, at(0)), (locked, false));
        assert_eq!(wait(attempts.begin(Target::Account(&ada), None, at(0))), Some(4));
        assert!(attempts.0.take_ahead(at(0)).is_empty());
        assert_eq!(wait(attempts.begin(Target::Account(&ada), None, at(4))), None);
        // It goes on from what was known.
        let standing = Standing { failures: 8, age: Duration::from_secs(9), locked: Duration::from_secs(8) };
        assert_eq!(attempts.0.take_ahead(at(4)), [(key, standing)]);
        assert!(attempts.0.take_ahead(at(4)).is_empty());
        attempts.0.put_ahead([key].into_iter());
        assert_eq!(attempts.0.take_ahead(at(4)).len(), 1);
        attempts.0.take_in(key, Standing::default(), at(4));
        assert!(attempts.0.lock().is_empty());
    }

    #[test]
    fn memory_is_bounded_and_keeps_those_that_failed_most() {
        let attempts = attempts(5, 1_000);
        let ada = ada();
        for _ in 0..5 {
            attempts.begin(Target::Account(&ada), None, at(0)).unwrap();
        }
        for login in 0..3 * ENTRIES_MAX {
            attempts.begin(Target::Nobody(&login.to_string()), None, at(0)).unwrap();
        }
        assert!(attempts.0.lock().len() <= ENTRIES_MAX);
        assert!(attempts.begin(Target::Account(&ada), None, at(0)).is_err());
        // What is over goes first.
        for login in 0..ENTRIES_MAX {
            attempts.begin(Target::Nobody(&login.to_string()), None, at(86_400)).unwrap();
        }
        assert!(attempts.begin(Target::Account(&ada), None, at(86_400)).is_ok());
    }
}
