//! Changes a password: one's own with the one so far, another's with the permission.

use crate::{
    auth::{Password, PasswordHash},
    model::{Permission, UserId, Violations},
    ops::{Ctx, Error, Ops, users::parse_user_id},
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
        let Some(current) = current else {
            return self.once(ctx, self.set_password_of(ctx, &id, new)).await;
        };
        // Whatever happens meanwhile, a password is only replaced by who knows it.
        let replace = async {
            let verified = self.check_current_password(ctx, &id, current).await?;
            self.set_password(ctx, &id, new, Some(verified)).await
        };
        self.once_guessing(ctx, &id, true, replace).await
    }

    /// Sets the password of another.
    async fn set_password_of(&self, ctx: &Ctx, id: &UserId, new: Password) -> Result<(), Error> {
        // The command looks again; here, nobody who may not is given a hash, which is dear.
        self.check_may_rule(ctx, id).await?;
        if self.store.find_user(id).await?.is_none() {
            return Err(Error::for_user(id)(StoreError::NotFound));
        }
        self.set_password(ctx, id, new, None).await
    }

    async fn set_password(
        &self,
        ctx: &Ctx,
        id: &UserId,
        new: Password,
        verified: Option<PasswordHash>,
    ) -> Result<(), Error> {
        let hash = self.hasher.hash(new).await?;
        match self.store.set_password(id, hash, verified, ctx.change(self.clock.now(), false)).await {
            Err(StoreError::Stale) => Err(Error::PasswordWrong),
            outcome => outcome.map_err(Error::for_user(id)),
        }?;
        self.attempts.forget(id).await;
        Ok(())
    }
}
