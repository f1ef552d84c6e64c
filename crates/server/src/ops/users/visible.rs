//! Which fields of a user a caller sees: age, phone and attributes of others take a permission of their own.

use crate::{
    auth::Refusal,
    model::{Permission, UserId, filter::Filter, order::Order},
    ops::Ctx,
    store::{StoreError, StoredUser},
};

/// The permission to see everything of others.
const PERMISSION: Permission = Permission::UsersReadPrivate;

/// The user as the caller may see it. Costs nothing where that is the whole user: what is stored is handed on.
pub(super) fn visible(ctx: &Ctx, id: &UserId, user: StoredUser) -> Result<StoredUser, StoreError> {
    if ctx.caller.check_self_or(id, PERMISSION).is_ok() {
        return Ok(user);
    }
    Ok(StoredUser::of(&user.user()?.without_private()))
}

/// The same for the users of a page.
pub(super) fn all_visible(ctx: &Ctx, users: Vec<StoredUser>) -> Result<Vec<StoredUser>, StoreError> {
    if ctx.caller.check(PERMISSION).is_ok() {
        return Ok(users);
    }
    users
        .into_iter()
        .map(|stored| {
            let user = stored.user()?;
            let is_own = ctx.caller.user_id() == Some(&user.id);
            Ok(if is_own { stored } else { StoredUser::of(&user.without_private()) })
        })
        .collect()
}

/// Refuses a query that would tell by which users it finds, or in which order, what the caller may not read.
pub(in crate::ops) fn check_query(ctx: &Ctx, filter: Option<&Filter>, order: Option<&Order>) -> Result<(), Refusal> {
    if filter.is_some_and(Filter::is_private) || order.is_some_and(Order::is_private) {
        ctx.caller.check(PERMISSION)?;
    }
    Ok(())
}
