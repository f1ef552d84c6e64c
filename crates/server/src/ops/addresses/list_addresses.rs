//! Reads the addresses of a user.

use super::check_kind;
use crate::{
    model::{Address, Permission, Violations},
    ops::{Ctx, Error, Ops, users::check_user_id},
};

impl Ops {
    /// All addresses of a user, oldest first, or those of the kind with the API's number; 0 is all.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], and those of the store.
    pub async fn list_addresses(&self, ctx: &Ctx, user_id: &str, kind: i32) -> Result<Vec<Address>, Error> {
        let mut violations = Violations::new();
        let user_id = check_user_id(user_id, &mut violations);
        if let Some(user_id) = &user_id {
            ctx.caller.check_self_or(user_id, Permission::AddressesRead)?;
        }
        let kind = check_kind("kind", kind, &mut violations);
        let user_id = match user_id {
            Some(user_id) if violations.is_empty() => user_id,
            _ => return Err(violations.into()),
        };
        self.store.list_addresses(&user_id, kind).await.map_err(Error::for_user(&user_id))
    }
}
