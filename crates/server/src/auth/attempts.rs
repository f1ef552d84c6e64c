//! Guesses at passwords, counted by account and by address, with growing delays.
//!
//! An attempt is counted before its password is looked at and taken back if it was right: however many guesses come at
//! the same time, no more than are free are looked at. A login that names no account is counted like one that does, so
//! that a lockout tells nobody who has an account.
//!
//! All is in memory and bounded. When there is no more room, those that failed least are forgotten first.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZero,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use crate::model::{Timestamp, UserId};

/// The first delay; each further failure doubles it.
const DELAY_FIRST: Duration = Duration::from_secs(1);
/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// One failure of an account is forgotten in so long: whoever waits for that guesses no faster than the longest delay
/// lets.
const ACCOUNT_FORGETS: Duration = Duration::from_secs(3_600);
/// Many people may share an address, so it forgets faster.
const ADDRESS_FORGETS: Duration = Duration::from_secs(60);
/// Accounts, logins and addresses that are counted: a few megabytes.
const ENTRIES_MAX: usize = 100_000;

/// How many failures are free of delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimits {
    /// For an account, or a login that names none.
    pub per_account: NonZero<u32>,
    /// For an IPv4 address, or a /64 of IPv6.
    pub per_address: NonZero<u32>,
}

/// What a guess is made at.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// An account, whichever of its names was given.
    Account(&'a UserId),
    /// No account: the unique key of the login that was given.
    Nobody(&'a str),
}

/// An attempt that must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked {
    /// How long.
    pub retry_after: Duration,
    /// Whether it is the first that this delay meets.
    pub first: bool,
}

/// An attempt that was let through and counted as failed until it is known to be right.
#[derive(Debug)]
pub struct Attempt {
    account: Key,
    address: Option<Key>,
}

/// All that is counted.
#[derive(Debug)]
pub struct Attempts {
    limits: AttemptLimits,
    entries: Mutex<HashMap<Key, Entry>>,
}

/// A digest, so that each takes the same room however long the name.
type Key = [u8; 16];

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    /// When one of them was last forgotten, or the first was counted.
    since: Timestamp,
    locked_until: Timestamp,
    /// Somebody met this lock already.
    met: bool,
    /// How long a failure counts.
    forgets: Duration,
}

impl Attempts {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(limits: AttemptLimits) -> Self {
        Self { limits, entries: Mutex::default() }
    }

    /// Counts an attempt, or says how long it must wait.
    ///
    /// # Errors
    /// The account or the address is locked; nothing is counted then.
    pub fn begin(&self, target: Target<'_>, address: Option<IpAddr>, now: Timestamp) -> Result<Attempt, Locked> {
        let account = account_key(target);
        let address = address.map(address_key);
        let mut entries = self.lock();
        make_room(&mut entries, now);
        for key in [Some(account), address].into_iter().flatten() {
            if let Some(locked) = entries.get_mut(&key).and_then(|entry| entry.locked(now)) {
                return Err(locked);
            }
        }
        count(&mut entries, account, ACCOUNT_FORGETS, self.limits.per_account, now);
        if let Some(address) = address {
            count(&mut entries, address, ADDRESS_FORGETS, self.limits.per_address, now);
        }
        Ok(Attempt { account, address })
    }

    /// It was right: the account starts afresh. The address does not, or whoever has an account could guess at others
    /// for ever.
    pub fn succeeded(&self, attempt: &Attempt) {
        let mut entries = self.lock();
        entries.remove(&attempt.account);
        if let Some(address) = attempt.address {
            take_back(&mut entries, address, self.limits.per_address);
        }
    }

    /// It was not looked at: as if it had not been made.
    pub fn unjudged(&self, attempt: &Attempt) {
        let mut entries = self.lock();
        take_back(&mut entries, attempt.account, self.limits.per_account);
        if let Some(address) = attempt.address {
            take_back(&mut entries, address, self.limits.per_address);
        }
    }

    /// The account starts afresh, because its password is new.
    pub fn forget(&self, account: &UserId) {
        self.lock().remove(&account_key(Target::Account(account)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        // No code under the lock can leave the map half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Forgets what is old enough.
    fn settle(&mut self, now: Timestamp) {
        let elapsed = now.0.saturating_sub(self.since.0).max(0);
        let each = micros(self.forgets);
        let forgotten = u32::try_from(elapsed / each).unwrap_or(u32::MAX).min(self.failures);
        self.failures -= forgotten;
        self.since = Timestamp(self.since.0.saturating_add(i64::from(forgotten) * each));
    }

    fn locked(&mut self, now: Timestamp) -> Option<Locked> {
        let wait = self.locked_until.0.saturating_sub(now.0);
        let retry_after = Duration::from_micros(u64::try_from(wait).ok().filter(|wait| *wait > 0)?);
        Some(Locked { retry_after, first: !std::mem::replace(&mut self.met, true) })
    }

    fn is_over(&mut self, now: Timestamp) -> bool {
        self.settle(now);
        self.failures == 0 && self.locked_until <= now
    }
}

fn count(entries: &mut HashMap<Key, Entry>, key: Key, forgets: Duration, free: NonZero<u32>, now: Timestamp) {
    let fresh = Entry { failures: 0, since: now, locked_until: Timestamp(0), met: false, forgets };
    let entry = entries.entry(key).or_insert(fresh);
    entry.settle(now);
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
const LONGEST_AFTER: u32 = 10;

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
    entries.retain(|_, entry| !entry.is_over(now));
    let mut least = 1;
    while entries.len() > ENTRIES_MAX / 4 * 3 {
        entries.retain(|_, entry| entry.failures > least);
        least += 1;
    }
}

fn account_key(target: Target<'_>) -> Key {
    match target {
        Target::Account(id) => key("account", id.to_text().as_bytes()),
        Target::Nobody(login) => key("nobody", login.as_bytes()),
    }
}

/// Whoever has one address of IPv6 has the other 2^64 of its network.
fn address_key(address: IpAddr) -> Key {
    match address.to_canonical() {
        IpAddr::V4(address) => key("address", &address.octets()),
        IpAddr::V6(address) => key("network", &address.octets()[..8]),
    }
}

fn key(kind: &str, name: &[u8]) -> Key {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(name).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_767_225_600_000_000;

    fn attempts(per_account: u32, per_address: u32) -> Attempts {
        let of = |number| NonZero::new(number).unwrap();
        Attempts::new(AttemptLimits { per_account: of(per_account), per_address: of(per_address) })
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
            attempts.succeeded(&begin().unwrap());
        }
        for _ in 0..5 {
            begin().unwrap();
        }
        assert_eq!(begin().unwrap_err(), Locked { retry_after: Duration::from_secs(1), first: true });
        attempts.forget(&ada);
        attempts.unjudged(&begin().unwrap());
        assert!(attempts.lock().is_empty());
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
        attempts.succeeded(&attempt);
        assert_eq!(begin(14, "192.0.2.1", 3), None);
        assert_eq!(begin(15, "192.0.2.1", 3), Some(2));
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
        assert!(attempts.lock().len() <= ENTRIES_MAX);
        assert!(attempts.begin(Target::Account(&ada), None, at(0)).is_err());
        // What is over goes first.
        for login in 0..ENTRIES_MAX {
            attempts.begin(Target::Nobody(&login.to_string()), None, at(86_400)).unwrap();
        }
        assert!(attempts.begin(Target::Account(&ada), None, at(86_400)).is_ok());
    }
}
