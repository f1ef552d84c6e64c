//! Ends sessions: the caller's own, one of a user, or all of them.

use super::check_owner;
use crate::{
    model::{Permission, SessionId, Violations},
    ops::{Ctx, Error, Ops, Reason},
    store::StoreError,
};

/// The permission to end the sessions of others.
const PERMISSION: Permission = Permission::SessionsRevoke;

impl Ops {
    /// Ends the session that the call is made with.
    ///
    /// # Errors
    /// [`Error::Precondition`] if there is none, and those of the store.
    pub async fn sign_out(&self, ctx: &Ctx) -> Result<(), Error> {
        let (Some(user_id), Some(id)) = (ctx.caller.user_id(), ctx.caller.session_id()) else {
            return Err(Error::Precondition(Reason::NoSession));
        };
        self.once(ctx, async {
            match self.store.end_session(user_id, id, ctx.change(self.clock.now(), false)).await {
                // Another call was faster.
                Ok(()) | Err(StoreError::NotFound) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Ends one session of a user; the caller's own if `user_id` is empty.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Refused`], [`Error::UserNotFound`], [`Error::Missing`], and those of the store.
    pub async fn revoke_session(&self, ctx: &Ctx, user_id: &str, session_id: &str) -> Result<(), Error> {
        let mut violations = Violations::new();
        let user_id = check_owner(ctx, user_id, &mut violations);
        if let Some(user_id) = &user_id {
            ctx.caller.check_self_or(user_id, PERMISSION)?;
        }
        let id = match session_id {
            "" => Err("is required"),
            id => SessionId::parse(id).ok_or("is not the id of a session"),
        };
        let (Some(user_id), Some(id)) = (user_id, violations.check("session_id", id)) else {
            return Err(violations.into());
        };
        self.once(ctx, async {
            match self.store.end_session(&user_id, id, ctx.change(self.clock.now(), false)).await {
                Err(StoreError::NotFound) => Err(self.missing_session(&user_id, id.to_string()).await),
                outcome => Ok(outcome?),
            }
        })
        .await
    }

    /// Ends all sessions of a user, but for the one that the call is made with if `keep_current`; how many.
    ///
    /// # Errors
    /// As [`Ops::revoke_session`].
    pub async fn revoke_all_sessions(&self, ctx: &Ctx, user_id: &str, keep_current: bool) -> Result<u32, Error> {
        let mut violations = Violations::new();
        let Some(user_id) = check_owner(ctx, user_id, &mut violations) else { return Err(violations.into()) };
        ctx.caller.check_self_or(&user_id, PERMISSION)?;
        self.once(ctx, async {
            let except = ctx.caller.session_id().filter(|_| keep_current);
            let meta = ctx.change(self.clock.now(), false);
            self.store.end_sessions(&user_id, except, meta).await.map_err(Error::for_user(&user_id))
        })
        .await
    }
}
