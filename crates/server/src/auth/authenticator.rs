//! From a credential to whom it names, and to what that one may do now.
//!
//! A credential that was verified once is remembered, so that no signature is checked twice. What is remembered proves
//! only whom the credential names, which never changes. What the holder may do is in the [`Live`] grant that the store
//! gives. Each worker keeps the grants of the callers that it has met: see [`super::KnownCallers`].

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};

use quick_cache::{UnitWeighter, sync::Cache};

use super::{
    api_key,
    credential::Credential,
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

/// Tells who calls.
pub struct Authenticator {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    tokens: AccessTokens,
    verified: Cache<Credential, Names>,
    verified_max: usize,
    uses: Uses,
    /// The second of the last read of the keys, and how many there were in it.
    key_reads: (AtomicI64, AtomicU32),
}

/// Whom a credential names.
#[derive(Clone)]
pub(super) enum Names {
    Session { user_id: UserId, id: SessionId, expires_at: Timestamp },
    ApiKey { id: ApiKeyId, hash: [u8; 32] },
}

impl Names {
    /// Whether the credential has ended by itself.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
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
    /// Reads the keys of the store, or makes the first. Up to `verified_max` credentials are remembered.
    ///
    /// # Errors
    /// The keys could not be read or made.
    pub async fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: TokenOptions,
        verified_max: usize,
    ) -> Result<Self, AuthenticatorError> {
        let mut keys = store.list_signing_keys().await?;
        if keys.is_empty() {
            keys = store.ensure_signing_key(generate_signing_key(clock.now())?).await?;
        }
        let tokens = AccessTokens::new(options, &keys)?;
        let verified = new_cache(verified_max);
        let key_reads = (AtomicI64::new(i64::MIN), AtomicU32::new(0));
        Ok(Self { store, clock, tokens, verified, verified_max, uses: Uses::default(), key_reads })
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

    /// Credentials that may be remembered.
    pub(super) fn verified_max(&self) -> usize {
        self.verified_max
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whom the credential names, whatever that takes.
    pub(super) async fn names(&self, credential: &Credential) -> Result<Names, AuthError> {
        if let Some(names) = self.verified.get(credential) {
            return Ok(names);
        }
        let names = self.check(credential).await?;
        // Of a key nothing is known before the store has been asked, and anybody can make up any number of them.
        if !matches!(names, Names::ApiKey { .. }) {
            self.verified.insert(credential.clone(), names.clone());
        }
        Ok(names)
    }

    /// Takes in the keys as they are in the store, where another node may have rotated them.
    ///
    /// # Errors
    /// The store failed, or has no key that signs.
    pub async fn refresh_keys(&self) -> Result<(), AuthenticatorError> {
        Ok(self.tokens.set_keys(&self.store.list_signing_keys().await?)?)
    }

    async fn check(&self, credential: &Credential) -> Result<Names, AuthError> {
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

    /// What the one who is named may do now; `None` if nothing, not even call.
    pub(super) async fn grant(&self, names: &Names, now: Timestamp) -> Result<Option<Arc<Live>>, StoreError> {
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
}

/// A bounded map of credentials.
pub(super) fn new_cache<T: Clone>(max: usize) -> Cache<Credential, T> {
    Cache::with_weighter(EXPECTED_CREDENTIALS.min(max), max as u64, UnitWeighter)
}
