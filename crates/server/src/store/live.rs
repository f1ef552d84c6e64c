//! Grants that are in use, so that what ends one ends it at once.
//!
//! Whoever serves a call or a stream holds a [`Live`] grant: what the store knew when it was read. A commit that takes
//! access away or changes it ends every live grant that it concerns, before the commit is answered. A grant that
//! ended is not asked any more: the next call reads the store again, and an open stream is cut.
//!
//! Where other servers write to the same store, their commits are heard of a little later. What a grant is good for then
//! rests on hearing of them in time: see [`Trust`].

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::model::{ApiKeyId, Grant, SessionId, UserId};

/// Until when it is known what other servers have ended. It is looked at with every use of a grant, and not only by
/// whoever keeps it up: a process that was frozen goes on with its calls before that one has noticed.
#[derive(Debug)]
pub struct Trust {
    base: Instant,
    lasts: Duration,
    /// Milliseconds after `base`.
    until: AtomicU64,
}

impl Trust {
    /// None yet. What is confirmed at some time is good for `lasts` from then.
    #[must_use]
    pub fn new(lasts: Duration) -> Self {
        Self { base: Instant::now(), lasts, until: AtomicU64::new(0) }
    }

    /// Notes that all is known which had been ended by this time.
    pub fn confirm(&self, at: Instant) {
        let until = (at + self.lasts).saturating_duration_since(self.base).as_millis();
        self.until.fetch_max(u64::try_from(until).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    /// When it ends unless it is confirmed again.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.base + Duration::from_millis(self.until.load(Ordering::Acquire))
    }

    fn lasts(&self) -> bool {
        Instant::now() < self.until()
    }
}

/// A grant in use. Cheap to ask whether it still stands.
#[derive(Debug)]
pub struct Live {
    /// What it lets its holder do.
    pub grant: Grant,
    ended: AtomicBool,
    /// It has ended because nobody could say whether it still stands, or stood when it was read.
    in_doubt: AtomicBool,
    bell: Notify,
    trust: Option<Arc<Trust>>,
}

impl Live {
    fn standing(grant: Grant, trust: Option<Arc<Trust>>) -> Arc<Self> {
        Self::new(grant, false, trust)
    }

    /// One of which it is not known whether it stands, and that serves one call at most.
    fn doubtful(grant: Grant) -> Arc<Self> {
        Self::new(grant, true, None)
    }

    fn new(grant: Grant, in_doubt: bool, trust: Option<Arc<Trust>>) -> Arc<Self> {
        let (ended, in_doubt) = (AtomicBool::new(in_doubt), AtomicBool::new(in_doubt));
        Arc::new(Self { grant, ended, in_doubt, bell: Notify::new(), trust })
    }

    /// Whether nothing has changed since it was read. Expiry is the clock's matter: see [`Grant::expires_at`].
    #[must_use]
    pub fn stands(&self) -> bool {
        !self.ended.load(Ordering::Acquire) && self.trust.as_ref().is_none_or(|trust| trust.lasts())
    }

    /// Whether it does not stand only because it is not known what has ended, elsewhere or while it was read: whoever holds
    /// it may try again.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        !self.stands() && (self.in_doubt.load(Ordering::Acquire) || !self.ended.load(Ordering::Acquire))
    }

    /// Waits until it no longer stands.
    pub async fn ended(&self) {
        let mut rung = std::pin::pin!(self.bell.notified());
        // Enrolled before the look, so that no end is missed in between.
        rung.as_mut().enable();
        if self.stands() {
            rung.await;
        }
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.bell.notify_waiters();
    }
}

/// What a commit has ended or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// One session.
    Session {
        /// Whose.
        user_id: UserId,
        /// Which.
        id: SessionId,
    },
    /// All sessions of a user but this one.
    SessionsOf {
        /// Whose.
        user_id: UserId,
        /// The one that stays.
        except: Option<SessionId>,
    },
    /// Role or status of a user, or the user as a whole: its sessions, and the API keys that it made.
    User(UserId),
    /// One API key.
    ApiKey {
        /// Which.
        id: ApiKeyId,
        /// Who made it; `None` for an operator.
        created_by: Option<UserId>,
    },
    /// One API key, whoever made it.
    ApiKeyOfAnybody(ApiKeyId),
}

impl Ended {
    fn concerns(&self, grant: &Grant) -> bool {
        match (self, grant) {
            (Self::Session { id: ended, .. }, Grant::Session { id, .. }) => ended == id,
            (Self::SessionsOf { user_id, except }, Grant::Session { id, user_id: owner, .. }) => {
                user_id == owner && except.as_ref() != Some(id)
            }
            (Self::User(ended), Grant::Session { user_id, .. }) => ended == user_id,
            (Self::User(ended), Grant::ApiKey { created_by, .. }) => Some(ended) == created_by.as_ref(),
            (Self::ApiKey { id: ended, .. } | Self::ApiKeyOfAnybody(ended), Grant::ApiKey { id, .. }) => ended == id,
            _ => false,
        }
    }

    /// On whom what it concerns stands; `None` if that is not known.
    fn holder(&self) -> Option<Holder> {
        match self {
            Self::Session { user_id, .. } | Self::SessionsOf { user_id, .. } | Self::User(user_id) => {
                Some(Some(user_id.clone()))
            }
            Self::ApiKey { created_by, .. } => Some(created_by.clone()),
            Self::ApiKeyOfAnybody(_) => None,
        }
    }
}

/// On whom a grant stands or falls: a session's user, a key's maker, or nobody for a key of an operator.
type Holder = Option<UserId>;

fn holder_of(grant: &Grant) -> Holder {
    match grant {
        Grant::Session { user_id, .. } => Some(user_id.clone()),
        Grant::ApiKey { created_by, .. } => created_by.clone(),
    }
}

/// All grants in use of one store.
#[derive(Debug, Default)]
pub struct LiveGrants {
    inner: Mutex<Inner>,
    /// `None` where every end is of this process.
    trust: Option<Arc<Trust>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Grows with every end.
    generation: u64,
    by_holder: HashMap<Holder, Vec<Weak<Live>>>,
    /// How many holders there may be before those whose grants nobody holds are forgotten.
    sweep_at: usize,
}

/// Holders that are not worth a sweep.
const SWEEP_MIN: usize = 1_024;

/// The state of things before a grant was read from the store.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(u64);

impl LiveGrants {
    /// Grants of a store that others write to as well: none stands for longer than the trust lasts.
    #[must_use]
    pub fn trusting(trust: Arc<Trust>) -> Self {
        Self { trust: Some(trust), ..Self::default() }
    }

    /// To be taken before the grant is read from the store.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket(self.lock().generation)
    }

    /// The grant as one in use. If anything ended since the ticket was taken, it may have been read too early to
    /// know: it then counts for this one call, as ended already.
    #[must_use]
    pub fn admit(&self, ticket: Ticket, grant: Grant) -> Arc<Live> {
        let mut inner = self.lock();
        if inner.generation != ticket.0 {
            return Live::doubtful(grant);
        }
        if inner.by_holder.len() >= inner.sweep_at {
            inner.by_holder.retain(|_, list| list.iter().any(|live| live.strong_count() > 0));
            inner.sweep_at = SWEEP_MIN.max(inner.by_holder.len() * 2);
        }
        let live = Live::standing(grant, self.trust.clone());
        let list = inner.by_holder.entry(holder_of(&live.grant)).or_default();
        list.retain(|other| other.strong_count() > 0);
        list.push(Arc::downgrade(&live));
        live
    }

    /// Ends what these concern. Called after the commit and before its answer.
    pub fn end(&self, all: &[Ended]) {
        if all.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.generation += 1;
        for ended in all {
            let Some(holder) = ended.holder() else {
                inner.by_holder.values_mut().for_each(|list| end_in(list, ended));
                continue;
            };
            if let Some(list) = inner.by_holder.get_mut(&holder) {
                end_in(list, ended);
                if list.is_empty() {
                    inner.by_holder.remove(&holder);
                }
            }
        }
    }

    /// Ends all there are, for want of knowing which have ended.
    pub fn end_all(&self) {
        let mut inner = self.lock();
        inner.generation += 1;
        for live in inner.by_holder.drain().flat_map(|(_, list)| list).filter_map(|live| live.upgrade()) {
            live.in_doubt.store(true, Ordering::Release);
            live.end();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends what `ended` concerns and forgets what nobody holds.
fn end_in(list: &mut Vec<Weak<Live>>, ended: &Ended) {
    list.retain(|live| {
        let Some(live) = live.upgrade() else { return false };
        let concerned = ended.concerns(&live.grant);
        if concerned {
            live.end();
        }
        !concerned
    });
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{PermissionSet, Role, Timestamp};

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn session(owner: &str, number: u128) -> Grant {
        let id = SessionId(Uuid::from_u128(number));
        Grant::Session { id, user_id: user(owner), role: Role::User, expires_at: Timestamp(0) }
    }

    fn key(maker: Option<&str>, number: u128) -> Grant {
        let id = ApiKeyId(Uuid::from_u128(number));
        Grant::ApiKey { id, permissions: PermissionSet::ALL, created_by: maker.map(user), expires_at: None }
    }

    #[tokio::test]
    async fn an_end_reaches_what_it_concerns_and_nothing_else() {
        let grants = LiveGrants::default();
        let admit = |grant| grants.admit(grants.ticket(), grant);
        let lives =
            [session("ada", 1), session("ada", 2), session("bea", 3), key(Some("ada"), 4), key(None, 5)].map(admit);
        let standing = || lives.iter().map(|live| live.stands()).collect::<Vec<_>>();
        let id = |number| SessionId(Uuid::from_u128(number));
        grants.end(&[Ended::Session { user_id: user("ada"), id: id(2) }]);
        assert_eq!(standing(), [true, false, true, true, true]);
        lives[1].ended().await;
        grants.end(&[Ended::SessionsOf { user_id: user("ada"), except: Some(id(1)) }]);
        assert_eq!(standing(), [true, false, true, true, true]);
        grants.end(&[Ended::User(user("ada"))]);
        assert_eq!(standing(), [false, false, true, false, true]);
        grants.end(&[Ended::ApiKey { id: ApiKeyId(Uuid::from_u128(5)), created_by: None }]);
        assert_eq!(standing(), [false, false, true, false, false]);
    }

    #[test]
    fn a_key_ends_whoever_made_it() {
        let grants = LiveGrants::default();
        let lives = [key(Some("ada"), 1), key(None, 1), key(None, 2)].map(|grant| grants.admit(grants.ticket(), grant));
        grants.end(&[Ended::ApiKeyOfAnybody(ApiKeyId(Uuid::from_u128(1)))]);
        assert_eq!(lives.each_ref().map(|live| live.stands()), [false, false, true]);
        grants.end_all();
        assert!(!lives[2].stands());
        assert_eq!(lives.each_ref().map(|live| live.is_in_doubt()), [false, false, true]);
    }

    #[test]
    fn no_grant_stands_for_longer_than_others_are_heard_of() {
        let trust = Arc::new(Trust::new(Duration::from_hours(1)));
        let grants = LiveGrants::trusting(Arc::clone(&trust));
        let live = grants.admit(grants.ticket(), session("ada", 1));
        assert!(!live.stands() && live.is_in_doubt(), "nothing was heard yet");
        let now = Instant::now();
        trust.confirm(now);
        assert!(live.stands());
        // What is confirmed late and is of earlier takes nothing back.
        trust.confirm(now.checked_sub(Duration::from_hours(2)).unwrap_or(now));
        assert!(live.stands());
        let grants = LiveGrants::trusting(Arc::new(Trust::new(Duration::ZERO)));
        assert!(!grants.admit(grants.ticket(), session("ada", 1)).stands());
    }

    #[test]
    fn what_was_read_before_an_end_does_not_stand() {
        let grants = LiveGrants::default();
        let early = grants.ticket();
        grants.end(&[Ended::User(user("ada"))]);
        let doubtful = grants.admit(early, session("bea", 2));
        assert!(!doubtful.stands() && doubtful.is_in_doubt(), "who was not meant may try again");
        assert!(grants.admit(grants.ticket(), session("ada", 1)).stands());
    }

    #[test]
    fn grants_that_nobody_holds_cost_nothing() {
        let grants = LiveGrants::default();
        for number in 0..10 * SWEEP_MIN as u128 {
            drop(grants.admit(grants.ticket(), session(&format!("user{number}"), number)));
        }
        assert!(grants.lock().by_holder.len() <= 2 * SWEEP_MIN);
    }
}
