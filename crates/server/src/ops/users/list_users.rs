//! Lists users, a page at a time.

use super::{
    paging::{LIST_USERS, PageInput},
    visible::all_visible,
};
use crate::{
    model::{Permission, Violations},
    ops::{Ctx, Error, Ops},
    store::StoredUser,
};

/// A `ListUsersRequest`.
#[derive(Clone, Debug, Default)]
pub struct ListUsersInput {
    /// 0 for the default.
    pub page_size: i32,
    /// Empty for the first page.
    pub page_token: String,
    /// AIP-160.
    pub filter: String,
    /// AIP-132.
    pub order_by: String,
    /// What is wrong with the request already, before it came here.
    pub violations: Violations,
}

/// A page of users.
#[derive(Clone, Debug)]
pub struct UserPage {
    /// In order.
    pub users: Vec<StoredUser>,
    /// `None` at the end.
    pub next_page_token: Option<String>,
}

impl Ops {
    /// A page of the users that match.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], and those of the store.
    pub async fn list_users(&self, ctx: &Ctx, input: &ListUsersInput) -> Result<UserPage, Error> {
        ctx.caller.check(Permission::UsersList)?;
        let page = PageInput {
            method: LIST_USERS,
            page_size: input.page_size,
            page_token: &input.page_token,
            filter: &input.filter,
            order_by: &input.order_by,
            search: "",
        };
        let page = self.check_page(ctx, page, input.violations.clone()).await?;
        let users = self.store.list_users_within(page.query().clone(), ctx.staleness).await?;
        let (users, next_page_token) = self.end_page(&page, users)?;
        Ok(UserPage { users: all_visible(ctx, users)?, next_page_token })
    }
}
