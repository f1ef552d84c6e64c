//! Searches users by any part of their name, email or username.

use super::{paging::PageInput, visible::all_visible};
use crate::{
    model::{Permission, Violations, text},
    ops::{Ctx, Error, Ops},
    store::StoredUser,
};

/// Characters that a query may have.
const QUERY_MAX_CHARS: usize = 256;
/// Up to here the total is exact; counting on would cost more than it tells.
const TOTAL_EXACT_MAX: u32 = 10_000;

/// A `SearchUsersRequest`.
#[derive(Clone, Debug, Default)]
pub struct SearchUsersInput {
    /// Any part of name, email or username; empty for all users.
    pub query: String,
    /// AIP-160.
    pub filter: String,
    /// AIP-132.
    pub order_by: String,
    /// 0 for the default.
    pub page_size: i32,
    /// Empty for the first page.
    pub page_token: String,
}

/// A page of what was found.
#[derive(Clone, Debug)]
pub struct SearchUsersOutput {
    /// In order.
    pub users: Vec<StoredUser>,
    /// `None` at the end.
    pub next_page_token: Option<String>,
    /// How many users match in all.
    pub total_size: u32,
    /// Whether there are more than `total_size`.
    pub total_size_is_lower_bound: bool,
}

impl Ops {
    /// A page of the users that match, and how many there are.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], and those of the store.
    pub async fn search_users(&self, ctx: &Ctx, input: &SearchUsersInput) -> Result<SearchUsersOutput, Error> {
        ctx.caller.check(Permission::UsersList)?;
        let mut violations = Violations::new();
        let search = check_query(&input.query, &mut violations);
        let page = PageInput {
            method: "SearchUsers",
            page_size: input.page_size,
            page_token: &input.page_token,
            filter: &input.filter,
            order_by: &input.order_by,
            search: &search,
        };
        let page = self.check_page(ctx, page, violations).await?;
        let (query, total_max) = (page.query().clone(), TOTAL_EXACT_MAX + 1);
        let (found, counted) = self.store.search_users_within(query, total_max, ctx.staleness).await?;
        let (users, next_page_token) = self.end_page(&page, found)?;
        Ok(SearchUsersOutput {
            users: all_visible(ctx, users)?,
            next_page_token,
            total_size: counted.min(TOTAL_EXACT_MAX),
            total_size_is_lower_bound: counted > TOTAL_EXACT_MAX,
        })
    }
}

fn check_query(query: &str, violations: &mut Violations) -> String {
    let length = query.chars().count();
    let checked = match length {
        0..=QUERY_MAX_CHARS => text::check_text(query, text::Lines::One),
        _ => Err(format!("has {length} characters; at most {QUERY_MAX_CHARS} are allowed")),
    };
    violations.check("query", checked).map(|()| text::fold(query)).unwrap_or_default()
}
