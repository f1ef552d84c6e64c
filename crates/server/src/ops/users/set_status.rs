//! Deactivates and reactivates users. Both are idempotent.

use super::{etag_of, parse_user_id, visible::visible};
use crate::{
    model::{Permission, UserId, UserStatus},
    ops::{Ctx, Error, Ops},
    store::StoredUser,
};

/// The permission to deactivate and reactivate others.
const PERMISSION: Permission = Permission::UsersDeactivate;

/// A `DeactivateUserRequest` or `ReactivateUserRequest`.
#[derive(Clone, Debug, Default)]
pub struct SetStatusInput {
    /// Required.
    pub user_id: String,
    /// The user as the caller last saw it; empty for whatever it is now.
    pub etag: String,
}

impl Ops {
    /// Takes away the user's right to sign in.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UserNotFound`], [`Error::StaleEtag`], and those of the store.
    pub async fn deactivate_user(&self, ctx: &Ctx, input: SetStatusInput) -> Result<StoredUser, Error> {
        let id = parse_user_id(&input.user_id)?;
        ctx.caller.check_self_or(&id, PERMISSION)?;
        self.set_status(ctx, id, UserStatus::Inactive, input.etag).await
    }

    /// Gives it back. Nobody can do this for themselves: they could not be signed in.
    ///
    /// # Errors
    /// As [`Ops::deactivate_user`].
    pub async fn reactivate_user(&self, ctx: &Ctx, input: SetStatusInput) -> Result<StoredUser, Error> {
        let id = parse_user_id(&input.user_id)?;
        ctx.caller.check(PERMISSION)?;
        self.set_status(ctx, id, UserStatus::Active, input.etag).await
    }

    async fn set_status(&self, ctx: &Ctx, id: UserId, status: UserStatus, etag: String) -> Result<StoredUser, Error> {
        let user = self.once(ctx, async {
            let meta = ctx.change(self.clock.now(), false);
            let user = self.store.set_user_status(id.clone(), status, etag_of(etag), meta).await;
            user.map_err(Error::for_user(&id))
        });
        Ok(visible(ctx, &id, user.await?)?)
    }
}
