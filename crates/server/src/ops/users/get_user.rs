//! Reads one user.

use super::{parse_user_id, visible::visible};
use crate::{
    model::{Permission, Violations, inputs, text},
    ops::{Ctx, Error, Ops},
    store::StoredUser,
};

/// The permission to read others.
const PERMISSION: Permission = Permission::UsersRead;

impl Ops {
    /// The user with this id.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UserNotFound`], and those of the store.
    pub async fn get_user(&self, ctx: &Ctx, user_id: &str) -> Result<StoredUser, Error> {
        let id = parse_user_id(user_id)?;
        ctx.caller.check_self_or(&id, PERMISSION)?;
        // A user in memory is answered without a future, a box or a thread in between.
        if let Some(user) = self.store.remembered_user(&id, ctx.staleness) {
            return Ok(visible(ctx, &id, user)?);
        }
        let found = self.store.find_user_within(&id, ctx.staleness).await?;
        let user = found.ok_or_else(|| Error::UserNotFound { field: "id", value: id.to_string() })?;
        Ok(visible(ctx, &id, user)?)
    }

    /// The user with this email, in whatever case it is written.
    ///
    /// # Errors
    /// As [`Ops::get_user`].
    pub async fn get_user_by_email(&self, ctx: &Ctx, email: &str) -> Result<StoredUser, Error> {
        let mut violations = Violations::new();
        let Some(email) = violations.check("email", inputs::parse_email(email)) else {
            return Err(violations.into());
        };
        let found = self.store.find_user_by_email_within(&text::unique_key(&email), ctx.staleness).await?;
        // Whoever may only read themselves learns nothing about other addresses: refused before found out.
        let Some(user) = found else {
            ctx.caller.check(PERMISSION)?;
            return Err(Error::UserNotFound { field: "email", value: email });
        };
        let id = user.user()?.id;
        ctx.caller.check_self_or(&id, PERMISSION)?;
        Ok(visible(ctx, &id, user)?)
    }
}
