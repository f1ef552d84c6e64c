//! Grants that are in use, so that what ends one ends it at once.
//!
//! Whoever serves a call or a stream holds a [`Live`] grant: what the store knew when it was read. A commit that takes
//! access away or changes it ends every live grant that it concerns, before the commit is answered. A grant that
//! ended is not asked any more: the next call reads the store again, and an open stream is cut.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::model::{ApiKeyId, Grant, SessionId, UserId};

/// A grant in use. Cheap to ask whether it still stands.
#[derive(Debug)]
pub struct Live {
    /// What it lets its holder do.
    pub grant: Grant,
    ended: AtomicBool,
    bell: Notify,
}

impl Live {
    fn new(grant: Grant, ended: bool) -> Arc<Self> {
        Arc::new(Self { grant, ended: AtomicBool::new(ended), bell: Notify::new() })
    }

    /// Whether nothing has changed since it was read. Expiry is the clock's matter: see [`Grant::expires_at`].
    #[must_use]
    pub fn stands(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
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
            (Self::ApiKey { id: ended, .. }, Grant::ApiKey { id, .. }) => ended == id,
            _ => false,
        }
    }

    fn holder(&self) -> Holder {
        match self {
            Self::Session { user_id, .. } | Self::SessionsOf { user_id, .. } | Self::User(user_id) => {
                Some(user_id.clone())
            }
            Self::ApiKey { created_by, .. } => created_by.clone(),
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
pub struct LiveGrants(Mutex<Inner>);

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
            return Live::new(grant, true);
        }
        if inner.by_holder.len() >= inner.sweep_at {
            inner.by_holder.retain(|_, list| list.iter().any(|live| live.strong_count() > 0));
            inner.sweep_at = SWEEP_MIN.max(inner.by_holder.len() * 2);
        }
        let live = Live::new(grant, false);
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
            let holder = ended.holder();
            if let Some(list) = inner.by_holder.get_mut(&holder) {
                end_in(list, ended);
                if list.is_empty() {
                    inner.by_holder.remove(&holder);
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn what_was_read_before_an_end_does_not_stand() {
        let grants = LiveGrants::default();
        let early = grants.ticket();
        grants.end(&[Ended::User(user("ada"))]);
        assert!(!grants.admit(early, session("ada", 1)).stands());
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
