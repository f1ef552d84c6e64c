//! Lists the audit log, a page at a time.

use crate::{
    model::{AuditEvent, Permission, SyntaxError, Violations, filter::AuditFilter},
    ops::{Ctx, Error, Ops, page_token::Scope, users::check_page_size},
    store::AuditQuery,
};

/// A `ListAuditEventsRequest`.
#[derive(Clone, Debug, Default)]
pub struct ListAuditEventsInput {
    /// AIP-160.
    pub filter: String,
    /// `occurred_at desc`, the default, or `occurred_at`.
    pub order_by: String,
    /// 0 for the default.
    pub page_size: i32,
    /// Empty for the first page.
    pub page_token: String,
}

/// A page of events.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// In order.
    pub events: Vec<AuditEvent>,
    /// `None` at the end.
    pub next_page_token: Option<String>,
}

impl Ops {
    /// A page of the events that match, in the order of the log.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], and those of the store.
    pub async fn list_audit_events(&self, ctx: &Ctx, input: &ListAuditEventsInput) -> Result<AuditPage, Error> {
        ctx.caller.check(Permission::AuditRead)?;
        let mut violations = Violations::new();
        let size = check_page_size(input.page_size, &mut violations);
        let filter = violations.check("filter", AuditFilter::parse(&input.filter));
        let newest_first = violations.check("order_by", newest_first(&input.order_by));
        // A token is bound to both, so it can only be judged with them.
        let (Some(filter), Some(newest_first)) = (filter, newest_first) else { return Err(violations.into()) };
        let scope = Scope {
            method: "ListAuditEvents",
            caller: ctx.caller.actor().to_string(),
            filter: filter.as_ref().map(ToString::to_string).unwrap_or_default(),
            order_by: if newest_first { "occurred_at desc" } else { "occurred_at" }.to_owned(),
            search: "",
        };
        let after = match input.page_token.as_str() {
            "" => None,
            token => self.page_tokens.unseal(&scope, token).and_then(|place| place.try_into().ok()),
        };
        if after.is_none() && !input.page_token.is_empty() {
            violations.add("page_token", "is not one that this list gave for the same filter, order and caller");
        }
        violations.into_result()?;
        let after = after.map(i64::from_be_bytes);
        // One more than asked for, to know whether there is a next page.
        let query = AuditQuery { filter, newest_first, after, limit: size + 1 };
        let mut events = self.store.list_events(query).await?;
        let more = events.len() > size as usize;
        events.truncate(size as usize);
        let last = events.last().filter(|_| more);
        let next_page_token = last.map(|event| self.page_tokens.seal(&scope, &event.position.to_be_bytes()));
        Ok(AuditPage { events, next_page_token })
    }
}

fn newest_first(order_by: &str) -> Result<bool, SyntaxError> {
    match order_by.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [] | ["occurred_at", "desc"] => Ok(true),
        ["occurred_at"] | ["occurred_at", "asc"] => Ok(false),
        _ => Err(SyntaxError {
            position: 1,
            message: "events are ordered by `occurred_at` or `occurred_at desc`".into(),
        }),
    }
}
