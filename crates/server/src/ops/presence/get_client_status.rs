//! Says who is connected.

use super::{ClientPresence, check_own_or};
use crate::{
    model::{Permission, Violations, inputs},
    ops::{Ctx, Error, Ops, Reason, page_token::Scope},
};

/// The permission to see others.
pub(super) const PERMISSION: Permission = Permission::PresenceRead;
/// Clients on a page if the request does not say.
const PAGE_SIZE_DEFAULT: usize = 1_000;
/// How many at most; more are clamped to it.
const PAGE_SIZE_MAX: usize = 10_000;
/// Clients in one answer to who cannot ask for pages.
const ALL_MAX: usize = 100_000;

/// A `GetClientStatusRequest`.
#[derive(Clone, Debug, Default)]
pub struct GetClientStatusInput {
    /// Empty for all.
    pub client_id: String,
    /// 0 for the default.
    pub page_size: i32,
    /// Empty for the first page.
    pub page_token: String,
}

/// A page of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPage {
    /// In the order of their ids.
    pub clients: Vec<ClientPresence>,
    /// `None` at the end.
    pub next_page_token: Option<String>,
}

impl Ops {
    /// The status of one client, or a page of all. Who is not known is left out.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Refused`].
    pub fn get_client_status(&self, ctx: &Ctx, input: &GetClientStatusInput) -> Result<ClientPage, Error> {
        let size = page_size(input.page_size);
        if !input.client_id.is_empty() {
            let mut violations = Violations::new();
            violations.check("page_size", size);
            if !input.page_token.is_empty() {
                violations.add("page_token", "goes with no client_id: one client has one page");
            }
            return self.client_status(ctx, &input.client_id, violations);
        }
        ctx.caller.check(PERMISSION)?;
        let mut violations = Violations::new();
        let size = violations.check("page_size", size);
        let scope = Scope {
            method: "GetClientStatus",
            caller: ctx.caller.actor().to_string(),
            filter: String::new(),
            order_by: String::new(),
            search: "",
        };
        let after = match input.page_token.as_str() {
            "" => Some(String::new()),
            token => {
                let place = self.page_tokens.unseal(&scope, token).and_then(|place| String::from_utf8(place).ok());
                violations.check("page_token", place.ok_or("is not one that this list gave to the same caller"))
            }
        };
        let (Some(size), Some(after)) = (size, after) else { return Err(violations.into()) };
        // No client has an empty id, so it is before all of them.
        let mut clients = self.desk.presence.page(&after, false, size + 1);
        let more = clients.len() > size;
        clients.truncate(size);
        let last = clients.last().filter(|_| more);
        let next_page_token = last.map(|last| self.page_tokens.seal(&scope, last.id.as_bytes()));
        Ok(ClientPage { clients: clients.into_iter().map(|one| self.desk.shown(one)).collect(), next_page_token })
    }

    /// The status of one client, or of all at once.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Refused`]; [`Error::Plain`] if they are more than one answer should have.
    pub async fn all_client_statuses(&self, ctx: &Ctx, client_id: &str) -> Result<Vec<ClientPresence>, Error> {
        if !client_id.is_empty() {
            return Ok(self.client_status(ctx, client_id, Violations::new())?.clients);
        }
        ctx.caller.check(PERMISSION)?;
        let mut all = Vec::new();
        loop {
            let after = all.last().map_or_else(|| "".into(), |last: &ClientPresence| last.id.clone());
            let page = self.desk.presence.page(&after, false, PAGE_SIZE_DEFAULT);
            let is_last = page.len() < PAGE_SIZE_DEFAULT;
            all.extend(page.into_iter().map(|client| self.desk.shown(client)));
            if all.len() > ALL_MAX {
                return Err(Error::Plain(Reason::ClientLimitReached));
            }
            if is_last {
                return Ok(all);
            }
            // Others have calls on this thread.
            tokio::task::yield_now().await;
        }
    }

    fn client_status(&self, ctx: &Ctx, client_id: &str, mut violations: Violations) -> Result<ClientPage, Error> {
        let client_id = violations.check("client_id", inputs::parse_client_id(client_id));
        if let Some(client_id) = client_id {
            check_own_or(&ctx.caller, client_id, PERMISSION)?;
        }
        violations.into_result()?;
        let found = client_id.and_then(|client_id| self.desk.presence.get(client_id));
        let clients = found.into_iter().map(|client| self.desk.shown(client)).collect();
        Ok(ClientPage { clients, next_page_token: None })
    }
}

fn page_size(size: i32) -> Result<usize, String> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(format!("{size} is negative; use 1 to {PAGE_SIZE_MAX}, or 0 for the default")),
    }
}
