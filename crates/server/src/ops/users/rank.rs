//! Nobody gives a role that may do more than they may, nor acts on a user who may: one permission is not to become all of
//! them by way of another user.

use crate::{
    auth::{Caller, Refusal},
    model::{PermissionSet, Role, UserId},
    ops::{Ctx, Error, Ops},
};

/// Whether the caller holds all that this role may do.
///
/// # Errors
/// The first permission that the caller lacks.
pub(in crate::ops) fn check_covers(caller: &Caller, role: Role) -> Result<(), Refusal> {
    let lacking = caller.permissions().lacks_of(role);
    lacking.map_or(Ok(()), |permission| Err(Refusal::Lacks(permission)))
}

impl Ops {
    /// Whether the caller is this user, or holds all that the user's role may do, for what is dear to do in vain. It is
    /// the store's commands that hold the rule. A user who is not there is their matter too.
    ///
    /// # Errors
    /// [`Error::Refused`], and those of the store.
    pub(in crate::ops) async fn check_may_rule(&self, ctx: &Ctx, id: &UserId) -> Result<(), Error> {
        if ctx.caller.user_id() == Some(id) || ctx.caller.permissions() == PermissionSet::ALL {
            return Ok(());
        }
        let Some(user) = self.store.find_user(id).await? else { return Ok(()) };
        Ok(check_covers(&ctx.caller, user.user()?.role)?)
    }
}
