//! Access tokens: JWTs (RFC 9068) that say which session calls.
//!
//! Whoever verifies one trusts what the key decides and never what the header says: the algorithm is that of our keys,
//! the header has exactly the three fields that we write, and every claim is there with exactly its type. What a session
//! may do is not read from the token but from the store.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::keys::{KeyError, KeySet, is_key_id, retired_before};
use crate::{
    model::{Role, SessionId, Timestamp, UserId},
    store::SigningKey,
};

/// The media type of access tokens in `typ`: nothing else that the same key might sign one day passes for one.
const TYP: &str = "at+jwt";
/// How far the clocks of two nodes may be apart.
const CLOCK_SKEW_SECONDS: i64 = 60;
/// The longest life of a token that can be set.
pub const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What all tokens have in common.
#[derive(Clone, Debug)]
pub struct TokenOptions {
    /// `iss`: who issues.
    pub issuer: String,
    /// `aud`: for whom.
    pub audience: String,
    /// How long a token is good.
    pub lifetime: Duration,
}

/// A token to hand out. Prints redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// A token that was kept for its owner.
    #[must_use]
    pub fn from_kept(text: String) -> Self {
        Self(text)
    }

    /// The token itself, for the response to its owner.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(redacted)")
    }
}

/// A token with its end.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: AccessToken,
    /// When it ends; whole seconds.
    pub expires_at: Timestamp,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) user_id: UserId,
    pub(super) session_id: SessionId,
    pub(super) expires_at: Timestamp,
}

/// Why a text is no good token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// Whatever is wrong with it.
    Invalid,
    /// It names a key that is not here; another node may have made it.
    UnknownKey,
}

/// The claims, all of them and no others: a claim that we do not know may change what the token means.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    role: String,
    iat: i64,
    exp: i64,
}

/// Issues and verifies access tokens.
pub struct AccessTokens {
    options: TokenOptions,
    keys: RwLock<Arc<KeySet>>,
}

impl AccessTokens {
    /// With the keys of the store.
    ///
    /// # Errors
    /// None of them signs.
    pub fn new(options: TokenOptions, keys: &[SigningKey]) -> Result<Self, KeyError> {
        Ok(Self { options, keys: RwLock::new(Arc::new(KeySet::new(keys)?)) })
    }

    /// A token for a session.
    ///
    /// # Errors
    /// The key in the store is damaged; a text for the log.
    pub fn issue(
        &self,
        user_id: &UserId,
        session_id: SessionId,
        role: Role,
        now: Timestamp,
    ) -> Result<IssuedToken, String> {
        let issued = now.seconds();
        // At least a second, or it would have ended already.
        let lifetime = i64::try_from(self.options.lifetime.as_secs()).unwrap_or(i64::MAX).max(1);
        let expires = issued.saturating_add(lifetime);
        let claims = Claims {
            iss: self.options.issuer.clone(),
            aud: self.options.audience.clone(),
            sub: user_id.to_text(),
            sid: session_id.to_string(),
            role: role.to_string(),
            iat: issued,
            exp: expires,
        };
        let keys = self.keys();
        let (id, key) = keys.signing();
        let token = encode(&header(id), &claims, key).map_err(|error| format!("cannot sign: {error}"))?;
        Ok(IssuedToken { token: AccessToken(token), expires_at: Timestamp(expires.saturating_mul(1_000_000)) })
    }

    /// What the token says, if it is one of ours and has not ended.
    pub(super) fn verify(&self, token: &[u8], now: Timestamp) -> Result<Verified, TokenError> {
        let invalid = |_| TokenError::Invalid;
        let id = decode_header(token).map_err(invalid)?.kid.ok_or(TokenError::Invalid)?;
        let keys = self.keys();
        let Some(key) = keys.verifying(&id, now, self.lifetime_micros()) else {
            return Err(if is_key_id(&id) { TokenError::UnknownKey } else { TokenError::Invalid });
        };
        let token = decode::<Claims>(token, key, &signature_alone()).map_err(invalid)?;
        if token.header != header(&id) {
            return Err(TokenError::Invalid);
        }
        self.check(&token.claims, now).ok_or(TokenError::Invalid)
    }

    fn check(&self, claims: &Claims, now: Timestamp) -> Option<Verified> {
        let now = now.seconds();
        let lifetime = claims.exp.checked_sub(claims.iat)?;
        let fits = claims.iss == self.options.issuer
            && claims.aud == self.options.audience
            && claims.iat >= 0
            && claims.iat <= now.saturating_add(CLOCK_SKEW_SECONDS)
            && claims.exp > now
            && (1..=LIFETIME_MAX.as_secs().cast_signed()).contains(&lifetime);
        fits.then_some(())?;
        Some(Verified {
            user_id: UserId::parse(&claims.sub).ok()?,
            session_id: SessionId::parse(&claims.sid)?,
            expires_at: Timestamp(claims.exp.checked_mul(1_000_000)?),
        })
    }

    /// Takes in the keys as they are now in the store.
    ///
    /// # Errors
    /// None of them signs; those that were here stay.
    pub fn set_keys(&self, keys: &[SigningKey]) -> Result<(), KeyError> {
        let keys = Arc::new(KeySet::new(keys)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// The ids of the keys that verify, the one that signs first.
    #[must_use]
    pub fn key_ids(&self, now: Timestamp) -> Vec<String> {
        self.keys().ids(now, self.lifetime_micros())
    }

    /// The public keys as a JSON Web Key Set (RFC 7517), the one that signs first.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> String {
        self.keys().jwks(now, self.lifetime_micros())
    }

    /// Keys that were retired before this have signed no token that is still good.
    #[must_use]
    pub fn keys_retired_before(&self, now: Timestamp) -> Timestamp {
        retired_before(now, self.lifetime_micros())
    }

    fn lifetime_micros(&self) -> i64 {
        i64::try_from(self.options.lifetime.as_micros()).unwrap_or(i64::MAX)
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The header of every token of ours.
fn header(key_id: &str) -> Header {
    Header { typ: Some(TYP.into()), kid: Some(key_id.into()), ..Header::new(Algorithm::EdDSA) }
}

/// What the library is to check. The claims are checked here: it would take floats for times and lists for names.
fn signature_alone() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

#[cfg(test)]
mod tests;
