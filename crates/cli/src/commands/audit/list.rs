//! `roster audit list`.

use roster_api::user::v1::ListAuditEventsRequest;

use crate::{
    commands::pages::{Wanted, follow},
    context::Context,
    error::Failure,
    output::Output,
};

/// The most events that the server gives a page.
const PAGE_SIZE_MAX: u32 = 1000;

/// List what was done and what was refused, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster audit list --filter 'outcome = REFUSED AND occurred_at >= 2026-01-01T00:00:00Z'
  roster audit list --filter 'actor.kind = USER AND actor.id = \"ID\"'
  roster audit list --filter 'user_id = \"ID\"' --order-by occurred_at --all --output json > events.jsonl")]
pub struct List {
    /// Only events that match, over actor.kind, actor.id, action, outcome, user_id, target, remote_address, request_id,
    /// reason and occurred_at
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    filter: String,
    /// 'occurred_at' for the oldest first
    #[arg(long, value_name = "ORDER", default_value = "", hide_default_value = true)]
    order_by: String,
    /// At most this many events; pages are followed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Every event
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Start where an earlier list ended
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
}

impl List {
    /// Shows page after page.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let limit = (!self.all).then_some(self.limit);
        let wanted = Wanted { limit, token: &self.page_token, nothing: "no events" };
        let read = async |context: &mut Context, left, token| {
            let request = context.request(self.page(left, token));
            let page = context.users.list_audit_events(request).await?.into_inner();
            let next = Some(page.next_page_token).filter(|token| !token.is_empty());
            Ok((page.events, next))
        };
        follow(context, wanted, read, Output::events).await
    }

    fn page(&self, left: u64, page_token: String) -> ListAuditEventsRequest {
        ListAuditEventsRequest {
            filter: self.filter.clone(),
            order_by: self.order_by.clone(),
            // At most a thousand, so it fits.
            page_size: left.min(PAGE_SIZE_MAX.into()) as i32,
            page_token,
        }
    }
}
