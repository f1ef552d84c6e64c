//! Takes a refresh token for new tokens.

use super::Tokens;
use crate::{
    ops::{Ctx, Error, Ops, Reason},
    store::{RefreshUse, StoreError},
};

impl Ops {
    /// New tokens for the session of a refresh token, which is used up.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], whatever is wrong with the token, and those of the store.
    pub async fn refresh_token(&self, ctx: &Ctx, token: &str) -> Result<Tokens, Error> {
        let refused = || Error::Unauthenticated(Reason::RefreshTokenInvalid);
        let opened = self.refresh_tokens.open(token).ok_or_else(refused)?;
        let now = self.clock.now();
        let refresh = self.new_refresh_token(opened.session, opened.generation.wrapping_add(1))?;
        let used = RefreshUse {
            id: opened.session,
            generation: opened.generation,
            hash: opened.hash,
            next_hash: refresh.hash,
            expires_at: self.idle_end(now),
        };
        let session = match self.store.refresh_session(used, ctx.change(now, false)).await {
            Ok(session) => session,
            Err(StoreError::NotFound) => return Err(refused()),
            Err(error) => return Err(error.into()),
        };
        let user = self.store.find_user(&session.user_id).await?.ok_or_else(refused)?.user()?;
        let access = self.new_access_token(&user.id, session.id, user.role, now)?;
        Ok(Tokens { access, refresh, refresh_expires_at: session.expires_at })
    }
}
