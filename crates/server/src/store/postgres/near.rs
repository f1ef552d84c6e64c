//! What this server has read lately, for reads that may be old. Nobody but those asks it.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use quick_cache::{Weighter, sync::Cache};

use crate::{
    metrics::{Counter, Page, names::STORE_CACHE},
    model::{Preferences, Staleness, UserId},
    store::{
        StoredUser,
        aged_cache::{AgedCache, Weigh},
    },
};

/// What is not asked for this long is given up, and changes are not listened for any more.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// One part in this many of the memory is for preferences, and as much for emails.
const SMALL_SHARE: u64 = 8;
/// Emails that their map has room for from the start.
const EXPECTED_EMAILS: usize = 1_024;
/// What an email costs beyond its own text and the user's id: map slot and two allocations.
const EMAIL_OVERHEAD_BYTES: usize = 128;

/// What was read lately.
pub(super) struct Near {
    users: AgedCache<NearUser>,
    preferences: AgedCache<Preferences>,
    /// Who had an email when it was last asked for. Only a hint: what counts is the email in the user's entry.
    emails: Option<Cache<Box<str>, UserId, ByLength>>,
    base: Instant,
    /// When it was asked last, in milliseconds after `base`; 0 for never.
    asked: AtomicU64,
    hits: Counter,
    misses: Counter,
}

/// A user with the key that the email had then.
#[derive(Clone)]
struct NearUser {
    email_key: Box<str>,
    message: Box<[u8]>,
}

impl Near {
    /// With room for about so many bytes; 0 keeps nothing.
    pub(super) fn new(capacity_bytes: u64) -> Self {
        let small = capacity_bytes / SMALL_SHARE;
        Self {
            users: AgedCache::new(capacity_bytes - 2 * small),
            preferences: AgedCache::new(small),
            emails: (small > 0).then(|| Cache::with_weighter(EXPECTED_EMAILS, small, ByLength)),
            base: Instant::now(),
            asked: AtomicU64::new(0),
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }

    /// The user as a read since then has shown it.
    pub(super) fn user(&self, id: &UserId, staleness: Staleness) -> Option<StoredUser> {
        self.note_asked();
        self.counted(self.users.get(id, staleness).map(NearUser::into_stored))
    }

    /// The same of the user who had this email then.
    pub(super) fn user_by_email(&self, email_key: &str, staleness: Staleness) -> Option<StoredUser> {
        self.note_asked();
        let id = self.emails.as_ref().and_then(|emails| emails.get(email_key));
        let user = id.and_then(|id| self.users.get(&id, staleness));
        self.counted(user.filter(|user| &*user.email_key == email_key).map(NearUser::into_stored))
    }

    /// The user's preferences as a read since then has shown them.
    pub(super) fn preferences(&self, id: &UserId, staleness: Staleness) -> Option<Preferences> {
        self.note_asked();
        self.counted(self.preferences.get(id, staleness))
    }

    /// Keeps a user whose read began then.
    pub(super) fn keep_user(&self, id: &UserId, email_key: &str, began: Instant, user: &StoredUser) {
        if let Some(emails) = &self.emails {
            emails.insert(email_key.into(), id.clone());
        }
        self.users.fill(id, began, NearUser { email_key: email_key.into(), message: user.as_bytes()[..].into() });
    }

    /// Keeps preferences whose read began then.
    pub(super) fn keep_preferences(&self, began: Instant, preferences: &Preferences) {
        self.preferences.fill(&preferences.user_id, began, preferences.clone());
    }

    /// Drops what is known of these users, or all that is known if it is not known who has changed.
    pub(super) fn forget(&self, changed: Option<&[UserId]>) {
        let Some(changed) = changed else { return self.forget_all() };
        for id in changed {
            self.users.forget(id);
            self.preferences.forget(id);
        }
    }

    fn forget_all(&self) {
        self.users.forget_all();
        self.preferences.forget_all();
        if let Some(emails) = &self.emails {
            emails.clear();
        }
    }

    /// Whether it is to be told what changes. If nobody has asked it for long, it gives up what it has.
    pub(super) fn is_in_use(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked == 0 {
            return false;
        }
        let is_idle = self.base.elapsed().saturating_sub(Duration::from_millis(asked)) > IDLE_MAX;
        if is_idle && self.asked.compare_exchange(asked, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.forget_all();
        }
        !is_idle
    }

    /// Puts the looks into it on the page.
    pub(super) fn report(&self, page: &mut Page) {
        page.value(&STORE_CACHE, &["hit"], self.hits.get());
        page.value(&STORE_CACHE, &["miss"], self.misses.get());
    }

    fn note_asked(&self) {
        let now = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        // Written now and then: a line of memory that every read writes to is waited for.
        if now.saturating_sub(self.asked.load(Ordering::Relaxed)) > 1_000 || now < 1_000 {
            self.asked.store(now, Ordering::Relaxed);
        }
    }

    fn counted<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_some() {
            self.hits.increment()
        } else {
            self.misses.increment()
        }
        found
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").field("users", &self.users).finish_non_exhaustive()
    }
}

impl NearUser {
    fn into_stored(self) -> StoredUser {
        StoredUser::from_bytes(self.message.into())
    }
}

impl Weigh for NearUser {
    fn heap_bytes(&self) -> usize {
        self.email_key.len() + self.message.len()
    }
}

impl Weigh for Preferences {
    fn heap_bytes(&self) -> usize {
        /// What a key of a map costs beyond its text and its value's.
        const PAIR_BYTES: usize = 64;
        let custom = self.custom.iter().map(|(key, value)| PAIR_BYTES + key.len() + value.len());
        self.language.len() + self.time_zone.len() + custom.sum::<usize>()
    }
}

/// Weighs an email and whose it is by the memory they take.
#[derive(Clone, Debug)]
struct ByLength;

impl Weighter<Box<str>, UserId> for ByLength {
    fn weight(&self, email_key: &Box<str>, id: &UserId) -> u64 {
        let id = match id {
            UserId::Text(text) => text.len(),
            UserId::Uuid(_) => 0,
        };
        (EMAIL_OVERHEAD_BYTES + email_key.len() + id) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn id(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn stored(text: &'static [u8]) -> StoredUser {
        StoredUser::from_bytes(bytes::Bytes::from_static(text))
    }

    #[test]
    fn an_email_leads_to_whoever_had_it_when_the_user_was_read() {
        let (near, hour) = (Near::new(1 << 20), Staleness::of(Duration::from_hours(1)));
        let by_email = |email: &str| near.user_by_email(email, hour);
        near.keep_user(&id("ada"), "ada@x", Instant::now(), &stored(b"1"));
        assert_eq!(by_email("ada@x"), Some(stored(b"1")));
        assert_eq!(near.user_by_email("ada@x", Staleness::NONE), None);
        // A read by the id has shown another email since.
        near.keep_user(&id("ada"), "lovelace@x", Instant::now(), &stored(b"2"));
        assert_eq!((by_email("ada@x"), by_email("lovelace@x")), (None, Some(stored(b"2"))));
        // Another user has taken the one that was left.
        near.keep_user(&id("bea"), "ada@x", Instant::now(), &stored(b"3"));
        assert_eq!(by_email("ada@x"), Some(stored(b"3")));
        near.forget(Some(&[id("bea")]));
        assert_eq!((by_email("ada@x"), near.user(&id("ada"), hour)), (None, Some(stored(b"2"))));
        near.keep_preferences(Instant::now(), &Preferences::new(id("ada"), Timestamp(0)));
        assert!(near.preferences(&id("ada"), hour).is_some());
        near.forget(None);
        assert!(near.user(&id("ada"), hour).is_none() && near.preferences(&id("ada"), hour).is_none());
    }

    #[test]
    fn only_what_is_asked_wants_to_hear_of_changes() {
        let near = Near::new(1 << 20);
        assert!(!near.is_in_use());
        near.user(&id("ada"), Staleness::of(Duration::from_secs(1)));
        assert!(near.is_in_use());
    }
}
