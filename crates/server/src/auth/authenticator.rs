//! From a credential to a caller.
//!
//! A credential that was verified once is remembered with the grant that it stands for, so that the next call with it
//! costs one look into memory. What is remembered proves only who the credential names, which never changes. What the
//! holder may do is in the [`Live`] grant, which a commit ends before it is answered: then the store is asked again.

use std::{
    fmt,
    future::Future,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use quick_cache::{UnitWeighter, sync::Cache};

use super::{
    Caller, api_key,
    credential::{Credential, Shown},
    keys::{KeyError, generate_signing_key},
    token::{AccessTokens, TokenError, TokenOptions},
    uses::Uses,
};
use crate::{
    model::{ApiKeyId, Clock, SessionId, Timestamp, UserId},
    store::{Live, Store, StoreError},
};

/// Room for so many credentials from the start. It grows; room for all would be memory at rest.
const EXPECTED_CREDENTIALS: usize = 1_024;
/// A use is noted once in this time.
const NOTE_EVERY_MICROS: i64 = 60 * 1_000_000;
/// How often the store is asked, within a second, for keys that tokens name and that are not here. Another node may
/// have rotated them; but anybody can make such tokens.
const KEY_READS_MAX: u32 = 20;
/// How often a grant is read while others end: each end leaves in doubt whether the read was early.
const GRANT_READS_MAX: usize = 4;

/// Why a credential makes nobody a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It is malformed, unknown, expired or revoked, or its user may not sign in: one answer for all.
    #[error("the credentials are not valid")]
    Invalid,
    /// The store could not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What memory knows of a call's credential.
#[derive(Debug)]
pub enum Recalled {
    /// None was shown.
    Nobody,
    /// Whose it is.
    Caller(Caller),
    /// It is none, or has ended.
    Invalid,
    /// It has to be looked at: see [`Authenticator::verify`].
    Unknown(Credential),
}

/// Tells who calls.
pub struct Authenticator {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    tokens: AccessTokens,
    known: Cache<Credential, Arc<Known>>,
    uses: Uses,
    /// The second of the last read of the keys, and how many there were in it.
    key_reads: (AtomicI64, AtomicU32),
}

/// A credential that was verified.
struct Known {
    names: Names,
    live: Arc<Live>,
    /// When its use was last noted, in microseconds since the epoch.
    noted_at: AtomicI64,
}

/// Whom a credential names.
#[derive(Clone)]
enum Names {
    Session { user_id: UserId, id: SessionId, expires_at: Timestamp },
    ApiKey { id: ApiKeyId, hash: [u8; 32] },
}

impl Names {
    /// Whether the credential has ended by itself.
    fn has_ended(&self, now: Timestamp) -> bool {
        matches!(self, Self::Session { expires_at, .. } if *expires_at <= now)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// Why nobody could be told apart.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticatorError {
    /// The keys could not be read or made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl Authenticator {
    /// Reads the keys of the store, or makes the first. Up to `known_max` verified credentials are remembered.
    ///
    /// # Errors
    /// The keys could not be read or made.
    pub async fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: TokenOptions,
        known_max: usize,
    ) -> Result<Self, AuthenticatorError> {
        let mut keys = store.list_signing_keys().await?;
        if keys.is_empty() {
            keys = store.ensure_signing_key(generate_signing_key(clock.now())?).await?;
        }
        let tokens = AccessTokens::new(options, &keys)?;
        let known = Cache::with_weighter(EXPECTED_CREDENTIALS.min(known_max), known_max as u64, UnitWeighter);
        let key_reads = (AtomicI64::new(i64::MIN), AtomicU32::new(0));
        Ok(Self { store, clock, tokens, known, uses: Uses::default(), key_reads })
    }

    /// What issues access tokens.
    #[must_use]
    pub fn tokens(&self) -> &AccessTokens {
        &self.tokens
    }

    /// What was used lately.
    #[must_use]
    pub fn uses(&self) -> &Uses {
        &self.uses
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
        let now = self.clock.now();
        if known.names.has_ended(now) {
            return Recalled::Invalid;
        }
        // A grant that has ended by the clock may have been prolonged since it was read.
        if !known.live.stands() || known.live.grant.expires_at().is_some_and(|end| end <= now) {
            return Recalled::Unknown(bearer.to_credential());
        }
        self.note(&known, now, from);
        Recalled::Caller(Caller::Granted(Arc::clone(&known.live)))
    }

    /// Whose credential it is, whatever that takes: a signature check if it was not seen before, and a read.
    ///
    /// # Errors
    /// It makes nobody a caller, or the store failed.
    pub async fn verify(&self, credential: Credential, from: Option<IpAddr>) -> Result<Caller, AuthError> {
        let names = match self.known.get(&credential) {
            Some(known) => known.names.clone(),
            None => self.names(&credential).await?,
        };
        let now = self.clock.now();
        if names.has_ended(now) {
            return Err(AuthError::Invalid);
        }
        let live = self.grant(&names, now).await?.ok_or(AuthError::Invalid)?;
        let known = Arc::new(Known { names, live, noted_at: AtomicI64::new(i64::MIN) });
        self.note(&known, now, from);
        self.known.insert(credential, Arc::clone(&known));
        Ok(Caller::Granted(Arc::clone(&known.live)))
    }

    /// Waits until the grant ends, by a commit or by the clock.
    pub fn ended(&self, live: Arc<Live>) -> impl Future<Output = ()> + Send + use<> {
        let rest = live.grant.expires_at().map(|end| end.0.saturating_sub(self.clock.now().0).max(0));
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

    /// Takes in the keys as they are in the store, where another node may have rotated them.
    ///
    /// # Errors
    /// The store failed, or has no key that signs.
    pub async fn refresh_keys(&self) -> Result<(), AuthenticatorError> {
        Ok(self.tokens.set_keys(&self.store.list_signing_keys().await?)?)
    }

    async fn names(&self, credential: &Credential) -> Result<Names, AuthError> {
        let bytes = credential.as_bytes();
        if let Some((id, hash)) = api_key::parse(bytes) {
            return Ok(Names::ApiKey { id, hash });
        }
        let now = self.clock.now();
        let mut verified = self.tokens.verify(bytes, now);
        if verified == Err(TokenError::UnknownKey) && self.may_read_keys(now) {
            match self.refresh_keys().await {
                Ok(()) => verified = self.tokens.verify(bytes, now),
                Err(AuthenticatorError::Store(error)) => return Err(error.into()),
                Err(AuthenticatorError::Keys(error)) => tracing::error!(%error, "the signing keys cannot be used"),
            }
        }
        let verified = verified.map_err(|_| AuthError::Invalid)?;
        Ok(Names::Session { user_id: verified.user_id, id: verified.session_id, expires_at: verified.expires_at })
    }

    fn may_read_keys(&self, now: Timestamp) -> bool {
        let (second, reads) = &self.key_reads;
        if second.swap(now.seconds(), Ordering::Relaxed) != now.seconds() {
            reads.store(0, Ordering::Relaxed);
        }
        reads.fetch_add(1, Ordering::Relaxed) < KEY_READS_MAX
    }

    async fn grant(&self, names: &Names, now: Timestamp) -> Result<Option<Arc<Live>>, StoreError> {
        let mut found = None;
        for _ in 0..GRANT_READS_MAX {
            found = match names {
                Names::Session { user_id, id, .. } => self.store.find_session_grant(user_id, *id, now).await?,
                Names::ApiKey { id, hash } => self.store.find_api_key_grant(*id, hash, now).await?,
            };
            if found.as_ref().is_none_or(|live| live.stands()) {
                break;
            }
        }
        // One that is in doubt to the last was good when this call began, and serves no other.
        Ok(found)
    }

    fn note(&self, known: &Known, now: Timestamp, from: Option<IpAddr>) {
        let noted = known.noted_at.load(Ordering::Relaxed);
        if now.0.saturating_sub(noted) >= NOTE_EVERY_MICROS {
            known.noted_at.store(now.0, Ordering::Relaxed);
            self.uses.note(&known.live.grant, now, from);
        }
    }
}
