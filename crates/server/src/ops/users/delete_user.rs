//! Deletes a user for good.

use super::{etag_of, parse_user_id};
use crate::{
    model::Permission,
    ops::{Ctx, Error, Ops},
};

impl Ops {
    /// Deletes the user, everything that hangs on it, and its personal data in the change log.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UserNotFound`], [`Error::StaleEtag`], and those of the store.
    pub async fn delete_user(&self, ctx: &Ctx, user_id: &str, etag: String) -> Result<(), Error> {
        let id = parse_user_id(user_id)?;
        ctx.caller.check_self_or(&id, Permission::UsersDelete)?;
        self.once(ctx, async {
            let meta = ctx.change(self.clock.now(), false);
            self.store.delete_user(id.clone(), etag_of(etag), meta).await.map_err(Error::for_user(&id))
        })
        .await
    }
}
