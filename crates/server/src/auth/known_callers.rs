//! The callers that one worker has met, so that the next call of each costs one look into memory.
//!
//! Each worker has its own: threads that met in one map, or counted references to one grant, would wait for each other's
//! caches on every call. What is kept here cannot outlive a revocation: the commit that takes access away or changes it
//! ends the [`Live`] grant before it is answered, and then the store is asked again.

use std::{
    future::Future,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;

use super::{
    AuthError, Authenticator, Caller,
    authenticator::{Names, new_cache},
    credential::{Credential, Shown},
};
use crate::{model::Timestamp, store::Live};

/// A use is noted once in this time.
const NOTE_EVERY_MICROS: i64 = 60 * 1_000_000;

/// What memory knows of a call's credential.
#[derive(Debug)]
pub enum Recalled {
    /// None was shown.
    Nobody,
    /// Whose it is.
    Caller(Known),
    /// It is none, or has ended.
    Invalid,
    /// It has to be looked at: see [`KnownCallers::verify`].
    Unknown(Credential),
}

/// A caller, and when their credential ends by itself: an access token does so long before its session.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who calls.
    pub caller: Caller,
    /// `None` for an API key, whose end is its grant's, and for whoever shows no credential.
    pub until: Option<Timestamp>,
}

impl From<Caller> for Known {
    /// One who shows no credential.
    fn from(caller: Caller) -> Self {
        Self { caller, until: None }
    }
}

/// The callers whom one worker has seen, before the cache that all workers share.
pub struct KnownCallers {
    authenticator: Arc<Authenticator>,
    known: Cache<Credential, Arc<Met>>,
}

/// A caller, as the last read found them.
struct Met {
    names: Names,
    live: Arc<Live>,
    /// When its use was last noted, in microseconds since the epoch.
    noted_at: AtomicI64,
}

impl KnownCallers {
    /// Knows nobody yet.
    #[must_use]
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        let known = new_cache(authenticator.verified_max());
        Self { authenticator, known }
    }

    /// The same for one more worker.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self::new(Arc::clone(&self.authenticator))
    }

    /// Whose credential it is, if memory knows. Waits for nothing.
    #[must_use]
    pub fn recall(&self, shown: Shown<'_>, from: Option<IpAddr>) -> Recalled {
        let bearer = match shown {
            Shown::Nothing => return Recalled::Nobody,
            Shown::Malformed => return Recalled::Invalid,
            Shown::Credential(bearer) => bearer,
        };
        let Some(known) = self.known.get(&bearer) else { return Recalled::Unknown(bearer.to_credential()) };
        let now = self.authenticator.now();
        if known.names.has_ended(now) {
            return Recalled::Invalid;
        }
        // A grant that has ended by the clock may have been prolonged since it was read.
        if !known.live.stands() || known.live.grant.expires_at().is_some_and(|end| end <= now) {
            return Recalled::Unknown(bearer.to_credential());
        }
        self.note(&known, now, from);
        Recalled::Caller(known.caller())
    }

    /// Whose credential it is, whatever that takes: a signature check if nobody has seen it before, and a read.
    ///
    /// # Errors
    /// It makes nobody a caller, or the store failed.
    pub async fn verify(&self, credential: Credential, from: Option<IpAddr>) -> Result<Known, AuthError> {
        let names = self.authenticator.names(&credential).await?;
        let now = self.authenticator.now();
        if names.has_ended(now) {
            return Err(AuthError::Invalid);
        }
        let live = self.authenticator.grant(&names, now).await?.ok_or(AuthError::Invalid)?;
        let met = Arc::new(Met { names, live, noted_at: AtomicI64::new(i64::MIN) });
        self.note(&met, now, from);
        let known = met.caller();
        self.known.insert(credential, met);
        Ok(known)
    }

    /// Waits until the grant ends, by a commit or by the clock, or until this time.
    pub fn ended(&self, live: Arc<Live>, until: Option<Timestamp>) -> impl Future<Output = ()> + Send + use<> {
        let end = live.grant.expires_at().into_iter().chain(until).min();
        let rest = end.map(|end| end.0.saturating_sub(self.authenticator.now().0).max(0));
        async move {
            match rest {
                Some(micros) => {
                    let rest = Duration::from_micros(micros.unsigned_abs());
                    // An error says that the time is up.
                    let _ = tokio::time::timeout(rest, live.ended()).await;
                }
                None => live.ended().await,
            }
        }
    }

    fn note(&self, known: &Met, now: Timestamp, from: Option<IpAddr>) {
        let noted = known.noted_at.load(Ordering::Relaxed);
        if now.0.saturating_sub(noted) >= NOTE_EVERY_MICROS {
            known.noted_at.store(now.0, Ordering::Relaxed);
            self.authenticator.uses().note(&known.live.grant, now, from);
        }
    }
}

impl Met {
    fn caller(&self) -> Known {
        let until = match self.names {
            Names::Session { expires_at, .. } => Some(expires_at),
            Names::ApiKey { .. } => None,
        };
        Known { caller: Caller::Granted(Arc::clone(&self.live)), until }
    }
}
