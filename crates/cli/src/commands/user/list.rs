//! `roster user list`.

use roster_api::{
    client::NEXT_PAGE_TOKEN,
    user::v1::{ListUsersRequest, User},
};
use tonic::metadata::MetadataMap;

use crate::{
    commands::pages::{Wanted, follow},
    context::Context,
    error::Failure,
    output::Output,
};

/// The most users that the server gives a page.
pub(super) const PAGE_SIZE_MAX: u32 = 1000;

/// List users
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster user list --filter 'status = ACTIVE AND role = ADMIN' --order-by 'name, created_at desc'
  roster user list --all --output json > users.jsonl")]
pub struct List {
    /// Only users that match, such as 'status = ACTIVE AND email : \"@example.com\"'
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    filter: String,
    /// Such as 'name, created_at desc'
    #[arg(long, value_name = "ORDER", default_value = "", hide_default_value = true)]
    order_by: String,
    /// At most this many users; pages are followed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Users that are asked for at a time
    #[arg(long, value_name = "N", default_value_t = PAGE_SIZE_MAX, value_parser = clap::value_parser!(u32).range(1..=i64::from(PAGE_SIZE_MAX)))]
    page_size: u32,
    /// Every user
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Start after this place: a token from an earlier list, or without --order-by the last user's id
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
}

impl List {
    /// Shows page after page.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let limit = (!self.all).then_some(self.limit);
        let wanted = Wanted { limit, token: &self.page_token, nothing: "no users" };
        let read = async |context: &mut Context, left, token| read_page(context, self.page(left, token)).await;
        follow(context, wanted, read, Output::users).await
    }

    fn page(&self, left: u64, page_token: String) -> ListUsersRequest {
        ListUsersRequest {
            // At most a thousand, so it fits.
            page_size: left.min(self.page_size.into()) as i32,
            page_token,
            filter: self.filter.clone(),
            order_by: self.order_by.clone(),
            pagination: None,
        }
    }
}

/// One page, and the token of the next if there is one.
async fn read_page(context: &mut Context, request: ListUsersRequest) -> Result<(Vec<User>, Option<String>), Failure> {
    let request = context.request(request);
    let response = context.users.list_users(request).await?;
    let headers = next_token(response.metadata());
    let mut stream = response.into_inner();
    let mut users = Vec::new();
    while let Some(user) = stream.message().await? {
        users.push(user);
    }
    let trailers = stream.trailers().await?.as_ref().and_then(next_token);
    Ok((users, trailers.or(headers)))
}

fn next_token(metadata: &MetadataMap) -> Option<String> {
    metadata.get(NEXT_PAGE_TOKEN)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::{User, parse};

    #[test]
    fn pages_are_as_large_as_is_left_and_allowed() {
        let Ok(User::List(list)) = parse(&["list", "--filter", "role = ADMIN", "--order-by", "name"]) else {
            panic!("list")
        };
        let page = list.page(list.limit.into(), "t".into());
        assert_eq!(
            (page.page_size, page.page_token.as_str(), page.filter.as_str(), page.order_by.as_str()),
            (100, "t", "role = ADMIN", "name")
        );
        assert_eq!(list.page(u64::MAX, String::new()).page_size, 1000);
        assert!(parse(&["list", "--limit", "0"]).is_err());
        assert!(parse(&["list", "--page-size", "1001"]).is_err());
        assert!(parse(&["list", "--limit", "5", "--all"]).is_err());
    }
}
