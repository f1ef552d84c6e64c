//! Changes a password: one's own with the one so far, another's with the permission.

use crate::{
    auth::{Password, PasswordHash, attempts::Target},
    model::{Permission, UserId, Violations},
    ops::{Ctx, Error, Ops, Reason, users::parse_user_id},
    store::StoreError,
};

/// The permission to set the passwords of others.
const PERMISSION: Permission = Permission::PasswordsWrite;

/// A `ChangePasswordRequest`, not yet checked.
pub struct ChangePasswordInput {
    /// Required.
    pub user_id: String,
    /// In clear; required on oneself, and not looked at for others.
    pub current_password: String,
    /// In clear.
    pub new_password: String,
}

impl Ops {
    /// Sets the password and ends every session of the user.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Refused`], [`Error::UserNotFound`], [`Error::PasswordWrong`],
    /// [`Error::AccountLocked`], [`Error::HashingBusy`], and those of the store.
    pub async fn change_password(&self, ctx: &Ctx, input: ChangePasswordInput) -> Result<(), Error> {
        let id = parse_user_id(&input.user_id)?;
        ctx.caller.check_self_or(&id, PERMISSION)?;
        let is_own = ctx.caller.user_id() == Some(&id);
        let mut violations = Violations::new();
        let current = match is_own {
            true => violations.check("current_password", Password::given(input.current_password)),
            false => None,
        };
        let new = violations.check("new_password", Password::parse(input.new_password));
        let (true, Some(new)) = (violations.is_empty(), new) else { return Err(violations.into()) };
        self.check_may_rule(ctx, &id).await?;
        // Whatever happens meanwhile, a password is only replaced by who knows it.
        let verified = match current {
            Some(current) => Some(self.check_current_password(ctx, &id, current).await?),
            None if self.store.find_user(&id).await?.is_none() => {
                return Err(Error::for_user(&id)(StoreError::NotFound));
            }
            None => None,
        };
        let hash = self.hasher.hash(new).await?;
        match self.store.set_password(&id, hash, verified, ctx.change(self.clock.now(), false)).await {
            Err(StoreError::Stale) => Err(Error::PasswordWrong),
            outcome => outcome.map_err(Error::for_user(&id)),
        }?;
        self.attempts.forget(&id);
        Ok(())
    }

    /// What the user signs in with, if this is the password. Whoever holds a session of somebody can guess here as well
    /// as at a sign-in, and is counted with those who do.
    async fn check_current_password(&self, ctx: &Ctx, id: &UserId, given: Password) -> Result<PasswordHash, Error> {
        let attempt = self.begin_attempt(ctx, Target::Account(id)).await?;
        let unjudged = || self.attempts.unjudged(&attempt);
        let hash = self.store.find_password_hash(id).await.inspect_err(|_| unjudged())?;
        let verdict = self.hasher.verify(given, hash.clone()).await.inspect_err(|_| unjudged())?;
        match hash.filter(|_| verdict.matches) {
            Some(hash) => {
                self.attempts.succeeded(&attempt);
                Ok(hash)
            }
            None => {
                let meta = ctx.change(self.clock.now(), false);
                self.store.fail_sign_in(Some(id.clone()), Reason::PasswordWrong.name(), meta).await?;
                Err(Error::PasswordWrong)
            }
        }
    }
}
