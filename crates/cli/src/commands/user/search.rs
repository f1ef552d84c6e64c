//! `roster user search`.

use roster_api::user::v1::{SearchUsersRequest, SearchUsersResponse};

use super::list::PAGE_SIZE_MAX;
use crate::{context::Context, error::Failure, output::Part};

/// Find users by any part of their name, email or username
#[derive(Debug, clap::Args)]
pub struct Search {
    /// Any part of a name, email or username
    query: String,
    /// Only users that match, such as 'status = ACTIVE'
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    filter: String,
    /// Such as 'name, created_at desc'
    #[arg(long, value_name = "ORDER", default_value = "", hide_default_value = true)]
    order_by: String,
    /// At most this many users; pages are followed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Start where an earlier search ended
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
}

impl Search {
    /// Reads page after page, then says how many there are in all.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let mut left = self.limit;
        let mut token = self.page_token.clone();
        loop {
            let request = context.request(self.page(left, token));
            let page = context.users.search_users(request).await?.into_inner();
            let part = if left == self.limit { Part::First } else { Part::Further };
            context.out.users(&page.users, part)?;
            left = left.saturating_sub(u32::try_from(page.users.len()).unwrap_or(u32::MAX));
            if left == 0 || page.next_page_token.is_empty() {
                return context.out.note(&summary(self.limit - left, &page));
            }
            token = page.next_page_token;
        }
    }

    fn page(&self, left: u32, page_token: String) -> SearchUsersRequest {
        SearchUsersRequest {
            query: self.query.clone(),
            filter: self.filter.clone(),
            order_by: self.order_by.clone(),
            // At most a thousand, so it fits.
            page_size: left.min(PAGE_SIZE_MAX) as i32,
            page_token,
        }
    }
}

fn summary(shown: u32, last: &SearchUsersResponse) -> String {
    let more = if last.total_size_is_lower_bound { "more than " } else { "" };
    let next = match last.next_page_token.as_str() {
        "" => String::new(),
        token => format!("; for more: --page-token '{token}' or --limit N"),
    };
    format!("{shown} of {more}{} users{next}", last.total_size)
}

#[cfg(test)]
mod tests {
    use super::{super::User, super::parse, *};

    #[test]
    fn flags_reach_the_request() {
        let Ok(User::Search(search)) = parse(&["search", "ad", "--filter", "f", "--order-by", "o", "--limit", "2000"])
        else {
            panic!("search")
        };
        let expected = SearchUsersRequest {
            query: "ad".into(),
            filter: "f".into(),
            order_by: "o".into(),
            page_size: 1000,
            page_token: "t".into(),
        };
        assert_eq!(search.page(search.limit, "t".into()), expected);
    }

    #[test]
    fn the_summary_says_what_the_total_is_worth() {
        let mut page = SearchUsersResponse { total_size: 3, ..SearchUsersResponse::default() };
        assert_eq!(summary(3, &page), "3 of 3 users");
        page = SearchUsersResponse {
            total_size: 10_000,
            total_size_is_lower_bound: true,
            next_page_token: "~t".into(),
            ..page
        };
        assert_eq!(summary(100, &page), "100 of more than 10000 users; for more: --page-token '~t' or --limit N");
    }
}
