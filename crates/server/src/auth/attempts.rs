//! Guesses at passwords, counted by account and by address, with growing delays.
//!
//! An attempt is counted before its password is looked at and taken back if it was right: however many guesses come at
//! the same time, no more than are free are looked at. A login that names no account is counted like one that does, so
//! that a lockout tells nobody who has an account.
//!
//! A server counts in memory, which is bounded: when there is no more room, those that failed least are forgotten first.
//! With Redis all servers count as one, there; each keeps beside it what it has heard, and goes on from that while Redis is
//! away. See `attempts/shared.rs`.

mod local;
mod shared;

use std::{net::IpAddr, num::NonZero, sync::Arc, time::Duration};

use self::{
    local::{Key, Local},
    shared::Shared,
};
use crate::{
    metrics::{Page, names::GUESSES_REMEMBERED},
    model::{Clock, Timestamp, UserId},
    redis::Redis,
};

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
    /// It was counted in Redis too.
    is_shared: bool,
}

impl Attempt {
    fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        [Some(self.account), self.address].into_iter().flatten()
    }
}

/// All that is counted.
pub struct Attempts {
    local: Arc<Local>,
    shared: Option<Shared>,
}

impl Attempts {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(limits: AttemptLimits) -> Self {
        Self { local: Arc::new(Local::new(limits, [0; 32])), shared: None }
    }

    /// The same, counted with all servers that have the same secret.
    #[must_use]
    pub fn with_redis(self, redis: Redis, secret: [u8; 32]) -> Self {
        let local = Arc::new(Local::new(self.local.limits, secret));
        Self { shared: Some(Shared::new(redis, Arc::clone(&local))), local }
    }

    /// Counts an attempt, or says how long it must wait.
    ///
    /// # Errors
    /// The account or the address is locked; nothing is counted then.
    pub async fn begin(&self, target: Target<'_>, address: Option<IpAddr>, now: Timestamp) -> Result<Attempt, Locked> {
        let mut attempt = self.local.attempt(target, address);
        if let Some(shared) = &self.shared
            && let Ok(verdict) = shared.begin(&attempt, now).await
        {
            attempt.is_shared = true;
            return verdict.map(|()| attempt);
        }
        self.local.begin(&attempt, now).map(|()| attempt)
    }

    /// It was right: the account starts afresh. The address does not, or whoever has an account could guess at others
    /// for ever.
    pub async fn succeeded(&self, attempt: &Attempt) {
        self.local.succeeded(attempt);
        if let Some(shared) = &self.shared {
            shared.succeeded(attempt).await;
        }
    }

    /// It was not looked at: as if it had not been made.
    pub async fn unjudged(&self, attempt: &Attempt) {
        self.local.unjudged(attempt);
        if let Some(shared) = self.shared.as_ref().filter(|_| attempt.is_shared) {
            shared.unjudged(attempt).await;
        }
    }

    /// The account starts afresh, because its password is new.
    pub async fn forget(&self, account: &UserId) {
        let key = self.local.account_key(Target::Account(account));
        self.local.forget(key);
        if let Some(shared) = &self.shared {
            shared.forget(key).await;
        }
    }

    /// Puts what is remembered in numbers on the page.
    pub fn report(&self, page: &mut Page) {
        page.value(&GUESSES_REMEMBERED, &[], self.local.len());
    }

    /// Hears of the lockouts of other servers, and tells them what was counted while Redis was away; for ever.
    pub async fn keep_in_step(&self, clock: &dyn Clock) {
        match &self.shared {
            Some(shared) => shared.keep_in_step(clock).await,
            None => std::future::pending().await,
        }
    }
}
