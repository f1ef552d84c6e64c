//! Use cases about sessions, one a file.

mod kept;
mod list_sessions;
mod outcomes;
mod refresh_token;
mod revoke_session;
mod sign_in;

use std::time::Duration;

pub(super) use self::outcomes::SignInOutcomes;
pub use self::{
    list_sessions::{ListSessionsInput, SessionPage},
    sign_in::{SignInInput, SignedIn},
};
use super::{Ctx, Error, Ops, users::check_user_id};
use crate::{
    auth::{AttemptLimits, IssuedToken, RefreshToken},
    model::{Role, SessionId, Timestamp, UserId, Violations},
    store::StoreError,
};

/// How long sessions last, and how often somebody may guess at a password.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// How long a session lasts that is not used.
    pub idle: Duration,
    /// Wrong passwords without delay.
    pub attempts: AttemptLimits,
}

/// What a client needs to call as a user.
#[derive(Debug)]
pub struct Tokens {
    /// For calls.
    pub access: IssuedToken,
    /// For new tokens.
    pub refresh: RefreshToken,
    /// When the refresh token ends if it is not used.
    pub refresh_expires_at: Timestamp,
}

impl Ops {
    /// A refresh token of a session that nobody has seen yet.
    fn new_refresh_token(&self, session: SessionId, generation: u32) -> Result<RefreshToken, Error> {
        let mut random = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(self.refresh_tokens.issue(session, generation, &random))
    }

    fn new_access_token(
        &self,
        user_id: &UserId,
        session: SessionId,
        role: Role,
        now: Timestamp,
    ) -> Result<IssuedToken, Error> {
        self.authenticator.tokens().issue(user_id, session, role, now).map_err(Error::Internal)
    }

    /// When a session ends that is used now and never again.
    fn idle_end(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_add(i64::try_from(self.session_idle.as_micros()).unwrap_or(i64::MAX)))
    }

    /// What it means that a user has no such session: there may be no such user.
    async fn missing_session(&self, user_id: &UserId, id: String) -> Error {
        match self.store.find_user(user_id).await {
            Ok(Some(_)) => Error::Missing { reason: super::Reason::SessionNotFound, id },
            Ok(None) => Error::for_user(user_id)(StoreError::NotFound),
            Err(error) => error.into(),
        }
    }
}

/// The user whose sessions a request is about: the caller if it names nobody.
fn check_owner(ctx: &Ctx, user_id: &str, violations: &mut Violations) -> Option<UserId> {
    match (user_id, ctx.caller.user_id()) {
        ("", Some(caller)) => Some(caller.clone()),
        ("", None) => {
            violations.add("user_id", "is required: the caller is no user");
            None
        }
        (user_id, _) => check_user_id(user_id, violations),
    }
}
