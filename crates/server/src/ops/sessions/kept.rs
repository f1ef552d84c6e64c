//! Tokens in the form in which they are kept for a retry. Only sealed are they kept.

use serde::{Deserialize, Serialize};

use super::{SignedIn, Tokens};
use crate::{
    auth::{AccessToken, IssuedToken, RefreshToken},
    model::{SessionId, Timestamp, UserId},
    store::{
        Answer, StoreError,
        answers::{from_json, to_json},
    },
};

#[derive(Serialize, Deserialize)]
struct KeptTokens {
    access: String,
    access_expires_at: Timestamp,
    refresh: String,
    refresh_expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct KeptSignIn {
    user_id: UserId,
    session_id: SessionId,
    tokens: KeptTokens,
}

impl From<&Tokens> for KeptTokens {
    fn from(tokens: &Tokens) -> Self {
        Self {
            access: tokens.access.token.clone().into_string(),
            access_expires_at: tokens.access.expires_at,
            refresh: tokens.refresh.as_str().to_owned(),
            refresh_expires_at: tokens.refresh_expires_at,
        }
    }
}

impl TryFrom<KeptTokens> for Tokens {
    type Error = StoreError;

    fn try_from(kept: KeptTokens) -> Result<Self, StoreError> {
        let damaged = || StoreError::Corrupt("a kept refresh token is none".into());
        Ok(Self {
            access: IssuedToken { token: AccessToken::from_kept(kept.access), expires_at: kept.access_expires_at },
            refresh: RefreshToken::from_kept(kept.refresh).ok_or_else(damaged)?,
            refresh_expires_at: kept.refresh_expires_at,
        })
    }
}

impl Answer for Tokens {
    fn to_kept(&self) -> Result<Vec<u8>, StoreError> {
        to_json(&KeptTokens::from(self))
    }

    fn from_kept(kept: &[u8]) -> Result<Self, StoreError> {
        from_json::<KeptTokens>(kept)?.try_into()
    }
}

impl Answer for SignedIn {
    fn to_kept(&self) -> Result<Vec<u8>, StoreError> {
        let Self { user_id, session_id, tokens } = self;
        to_json(&KeptSignIn { user_id: user_id.clone(), session_id: *session_id, tokens: tokens.into() })
    }

    fn from_kept(kept: &[u8]) -> Result<Self, StoreError> {
        let KeptSignIn { user_id, session_id, tokens } = from_json(kept)?;
        Ok(Self { user_id, session_id, tokens: tokens.try_into()? })
    }
}
