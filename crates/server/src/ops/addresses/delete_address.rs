//! Deletes an address.

use super::{both, check_address_id};
use crate::{
    model::{Permission, Violations},
    ops::{
        Ctx, Error, Ops,
        users::{check_user_id, etag_of},
    },
};

impl Ops {
    /// Deletes an address. If it was the default of its kind, the oldest left of the kind becomes it.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], [`Error::Missing`], [`Error::StaleEtag`], and
    /// those of the store.
    pub async fn delete_address(&self, ctx: &Ctx, user_id: &str, address_id: &str, etag: String) -> Result<(), Error> {
        let mut violations = Violations::new();
        let user_id = check_user_id(user_id, &mut violations);
        if let Some(user_id) = &user_id {
            ctx.caller.check_self_or(user_id, Permission::AddressesWrite)?;
        }
        let id = check_address_id(address_id, &mut violations);
        let (user_id, id) = both(user_id, id, violations)?;
        self.once(ctx, async {
            let meta = ctx.change(self.clock.now(), false);
            let deleted = self.store.delete_address(&user_id, id, etag_of(etag), meta).await;
            deleted.map_err(Error::for_address(&user_id, id))
        })
        .await
    }
}
