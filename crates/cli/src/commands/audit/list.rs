//! `roster audit list`.

use roster_api::user::v1::ListAuditEventsRequest;

use crate::{context::Context, error::Failure};

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
    /// Reads page after page and shows each as it comes, so that memory holds one page.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let mut left = if self.all { u64::MAX } else { self.limit.into() };
        let mut token = self.page_token.clone();
        let mut shown: u64 = 0;
        loop {
            let request = context.request(self.page(left, token));
            let page = context.users.list_audit_events(request).await?.into_inner();
            context.out.events(&page.events)?;
            let count = page.events.len() as u64;
            shown += count;
            left = left.saturating_sub(count);
            token = page.next_page_token;
            if token.is_empty() {
                return if shown == 0 { context.out.note("no events") } else { Ok(()) };
            }
            if left == 0 {
                let more = format!("{shown} shown; for more: --page-token '{token}', --limit N or --all");
                return context.out.note(&more);
            }
        }
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
