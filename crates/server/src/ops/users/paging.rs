//! What lists and searches share: size, filter, order and token, all checked at once.

use super::visible::check_query;
use crate::{
    model::{UserId, Violations, filter::Filter, order::Order},
    ops::{Ctx, Error, Ops, page_token::Scope},
    store::{Cursor, StoreError, StoredUser, UserQuery},
};

/// The method whose older clients page by the bare id of the last user.
pub(super) const LIST_USERS: &str = "ListUsers";
/// Users, or whatever is listed, on a page if the request does not say.
const PAGE_SIZE_DEFAULT: u32 = 100;
/// How many at most; more are clamped to it.
const PAGE_SIZE_MAX: u32 = 1_000;

/// The common part of a list request.
#[derive(Debug)]
pub(super) struct PageInput<'a> {
    pub(super) method: &'static str,
    pub(super) page_size: i32,
    pub(super) page_token: &'a str,
    pub(super) filter: &'a str,
    pub(super) order_by: &'a str,
    /// Folded; empty for none.
    pub(super) search: &'a str,
}

/// The same, checked.
#[derive(Debug)]
pub(super) struct PageRequest {
    method: &'static str,
    caller: String,
    size: u32,
    query: UserQuery,
}

impl Ops {
    /// Checks the common part; everything that is wrong is added to `violations`.
    pub(super) async fn check_page(
        &self,
        ctx: &Ctx,
        input: PageInput<'_>,
        mut violations: Violations,
    ) -> Result<PageRequest, Error> {
        let size = check_page_size(input.page_size, &mut violations);
        let filter = violations.check("filter", Filter::parse(input.filter));
        let order = violations.check("order_by", Order::parse(input.order_by));
        check_query(ctx, filter.as_ref().and_then(Option::as_ref), order.as_ref())?;
        // A token is bound to both, so it can only be judged with them.
        let (Some(filter), Some(order)) = (filter, order) else { return Err(violations.into()) };
        let query = UserQuery {
            filter,
            search: (!input.search.is_empty()).then(|| input.search.to_owned()),
            order,
            after: None,
            // One more than asked for, to know whether there is a next page.
            limit: size + 1,
        };
        let mut page = PageRequest { method: input.method, caller: ctx.caller.actor().to_string(), size, query };
        if !input.page_token.is_empty() {
            page.query.after = self.cursor_in(input.page_token, &page).await?;
            if page.query.after.is_none() {
                violations.add(
                    "page_token",
                    "is not one that this list gave for the same filter, order, query and caller, \
                     nor (in the default order) the id of the last user seen",
                );
            }
        }
        violations.into_result()?;
        Ok(page)
    }

    async fn cursor_in(&self, token: &str, page: &PageRequest) -> Result<Option<Cursor>, StoreError> {
        match token.starts_with('~') {
            true => Ok(self.page_tokens.open(&page.scope(), token)),
            false if page.method == LIST_USERS => self.bare_id(token, &page.query.order).await,
            false => Ok(None),
        }
    }

    /// The place after the user that a client of seed 003 saw last. A UUID is a place even if its
    /// user is gone by now; any other text must be a user's id, or it is garbage.
    async fn bare_id(&self, token: &str, order: &Order) -> Result<Option<Cursor>, StoreError> {
        let Ok(id) = UserId::parse(token) else { return Ok(None) };
        let is_place =
            order.is_default() && (matches!(id, UserId::Uuid(_)) || self.store.find_user(&id).await?.is_some());
        Ok(is_place.then(|| Cursor { values: Vec::new(), id }))
    }

    /// Ends the users that were read where the page ends, and makes the token for the next; `None` at the end.
    pub(super) fn end_page(
        &self,
        page: &PageRequest,
        mut users: Vec<StoredUser>,
    ) -> Result<(Vec<StoredUser>, Option<String>), StoreError> {
        let size = page.size as usize;
        let more = users.len() > size;
        users.truncate(size);
        let last = users.last().filter(|_| more).map(StoredUser::user).transpose()?;
        let token = last.map(|user| self.page_tokens.issue(&page.scope(), &page.query.order.cursor_of(&user)));
        Ok((users, token))
    }
}

impl PageRequest {
    /// What to read; one user more than the page holds.
    pub(super) fn query(&self) -> &UserQuery {
        &self.query
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            method: self.method,
            caller: self.caller.clone(),
            filter: self.query.filter.as_ref().map(ToString::to_string).unwrap_or_default(),
            order_by: self.query.order.to_string(),
            search: self.query.search.as_deref().unwrap_or_default(),
        }
    }
}

/// The size of a page: the default for 0, clamped above.
pub(in crate::ops) fn check_page_size(size: i32, violations: &mut Violations) -> u32 {
    match u32::try_from(size) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => {
            violations.add("page_size", format!("{size} is negative; use 1 to {PAGE_SIZE_MAX}, or 0 for the default"));
            PAGE_SIZE_DEFAULT
        }
    }
}
