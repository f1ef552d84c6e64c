//! Makes an address the default of its kind.

use super::{both, check_address_id};
use crate::{
    model::{Address, Permission, Violations},
    ops::{Ctx, Error, Ops, users::check_user_id},
};

impl Ops {
    /// Makes an address the default in place of the one that was. One that is the default already stays as it is.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], [`Error::Missing`], and those of the store.
    pub async fn set_default_address(&self, ctx: &Ctx, user_id: &str, address_id: &str) -> Result<Address, Error> {
        let mut violations = Violations::new();
        let user_id = check_user_id(user_id, &mut violations);
        if let Some(user_id) = &user_id {
            ctx.caller.check_self_or(user_id, Permission::AddressesWrite)?;
        }
        let id = check_address_id(address_id, &mut violations);
        let (user_id, id) = both(user_id, id, violations)?;
        self.once(ctx, async {
            let meta = ctx.change(self.clock.now(), false);
            self.store.set_default_address(&user_id, id, meta).await.map_err(Error::for_address(&user_id, id))
        })
        .await
    }
}
