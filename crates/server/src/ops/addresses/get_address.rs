//! Reads one address.

use super::{both, check_address_id};
use crate::{
    model::{Address, Permission, Violations},
    ops::{Ctx, Error, Ops, users::check_user_id},
    store::StoreError,
};

impl Ops {
    /// The address of a user with this id. That of another user is answered like one that there is not.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], [`Error::Missing`], and those of the store.
    pub async fn get_address(&self, ctx: &Ctx, user_id: &str, address_id: &str) -> Result<Address, Error> {
        let mut violations = Violations::new();
        let user_id = check_user_id(user_id, &mut violations);
        if let Some(user_id) = &user_id {
            ctx.caller.check_self_or(user_id, Permission::AddressesRead)?;
        }
        let id = check_address_id(address_id, &mut violations);
        let (user_id, id) = both(user_id, id, violations)?;
        let found = self.store.find_address(&user_id, id).await;
        found.and_then(|found| found.ok_or(StoreError::ItemNotFound)).map_err(Error::for_address(&user_id, id))
    }
}
