//! Uses up the token of a mailed link.

use crate::{
    auth::{OneTimeToken, Password},
    model::{MailKind, User, UserId, Violations},
    ops::{Ctx, Error, Ops},
    store::StoreError,
};

impl Ops {
    /// Marks the address as verified that the token was mailed to.
    ///
    /// # Errors
    /// [`Error::TokenInvalid`], and those of the store.
    pub async fn verify_email(&self, ctx: &Ctx, token: String) -> Result<User, Error> {
        let user = self.once(ctx, async {
            let (user_id, hash) = self.open_token(MailKind::Verification, token).await?;
            let meta = ctx.change(self.clock.now(), false);
            self.store.verify_email(user_id, hash, meta).await.map_err(token_error)
        });
        Ok(user.await?.user()?)
    }

    /// Sets a new password and ends every session of the user whom the token was mailed to.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the password, [`Error::TokenInvalid`], [`Error::HashingBusy`], and those of the store.
    pub async fn reset_password(&self, ctx: &Ctx, token: String, new_password: String) -> Result<(), Error> {
        let mut violations = Violations::new();
        let Some(password) = violations.check("new_password", Password::parse(new_password)) else {
            return Err(violations.into());
        };
        self.once(ctx, async {
            // Before the hash, which is dear: nobody gets one for a token that does not stand.
            let (user_id, hash) = self.open_token(MailKind::PasswordReset, token).await?;
            let password = self.hasher.hash(password).await?;
            let meta = ctx.change(self.clock.now(), false);
            self.store.reset_password(user_id.clone(), hash, password, meta).await.map_err(token_error)?;
            // Whoever reads the mail is the user, whatever others have guessed.
            self.attempts.forget(&user_id).await;
            Ok(())
        })
        .await
    }

    async fn open_token(&self, kind: MailKind, token: String) -> Result<(UserId, [u8; 32]), Error> {
        let hash = OneTimeToken::shown(token).hash();
        let found = self.store.find_one_time_token(kind, hash, self.clock.now()).await?;
        Ok((found.ok_or(Error::TokenInvalid)?, hash))
    }
}

/// The token was used, or the user changed, since it was looked up.
fn token_error(error: StoreError) -> Error {
    match error {
        StoreError::NotFound => Error::TokenInvalid,
        other => other.into(),
    }
}
