//! Takes a refresh token for new tokens.

use super::Tokens;
use crate::{
    auth::OpenedRefreshToken,
    ops::{Ctx, Error, Ops, Reason},
    store::{Answer as _, RefreshUse, StoreError},
};

impl Ops {
    /// New tokens for the session of a refresh token, which is used up.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], whatever is wrong with the token, and those of the store.
    pub async fn refresh_token(&self, ctx: &Ctx, token: &str) -> Result<Tokens, Error> {
        let refused = || Error::Unauthenticated(Reason::RefreshTokenInvalid);
        let opened = self.refresh_tokens.open(token).ok_or_else(refused)?;
        self.once(ctx, self.renew(ctx, opened)).await
    }

    async fn renew(&self, ctx: &Ctx, opened: OpenedRefreshToken) -> Result<Tokens, Error> {
        let refused = || Error::Unauthenticated(Reason::RefreshTokenInvalid);
        let now = self.clock.now();
        let (user_id, role) = self.store.find_session_owner(opened.session).await?.ok_or_else(refused)?;
        let refresh = self.new_refresh_token(opened.session, opened.generation.wrapping_add(1))?;
        let used = RefreshUse {
            id: opened.session,
            generation: opened.generation,
            hash: opened.hash,
            next_hash: refresh.hash,
            expires_at: self.idle_end(now),
        };
        let access = self.new_access_token(&user_id, opened.session, role, now)?;
        let tokens = Tokens { access, refresh, refresh_expires_at: used.expires_at };
        let meta = ctx.change(now, false).answering(|| tokens.to_kept())?;
        match self.store.refresh_session(used, meta).await {
            Ok(_) => Ok(tokens),
            Err(StoreError::NotFound) => Err(refused()),
            Err(error) => Err(error.into()),
        }
    }
}
