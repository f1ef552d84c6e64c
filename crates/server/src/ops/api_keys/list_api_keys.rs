//! Lists API keys, a page at a time.

use crate::{
    model::{ApiKey, ApiKeyId, Permission, Timestamp, UserId, Violations},
    ops::{Ctx, Error, Ops, page_token::Scope, users::check_page_size},
    store::{Cursor, CursorValue},
};

/// The permission to see keys.
const PERMISSION: Permission = Permission::ApiKeysRead;

/// A page of API keys.
#[derive(Clone, Debug)]
pub struct ApiKeyPage {
    /// The newest first.
    pub keys: Vec<ApiKey>,
    /// `None` at the end.
    pub next_page_token: Option<String>,
}

impl Ops {
    /// A page of the API keys that are not revoked.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], and those of the store.
    pub async fn list_api_keys(&self, ctx: &Ctx, page_size: i32, page_token: &str) -> Result<ApiKeyPage, Error> {
        ctx.caller.check(PERMISSION)?;
        let mut violations = Violations::new();
        let size = check_page_size(page_size, &mut violations);
        let scope = Scope {
            method: "ListApiKeys",
            caller: ctx.caller.actor().to_string(),
            filter: String::new(),
            order_by: String::new(),
            search: "",
        };
        let after = match page_token {
            "" => None,
            token => {
                let place = self.page_tokens.open(&scope, token).as_ref().and_then(place_of);
                violations.check("page_token", place.ok_or("is not one that this list gave to the same caller"))
            }
        };
        violations.into_result()?;
        // One more than asked for, to know whether there is a next page.
        let mut keys = self.store.list_api_keys(after, size + 1).await?;
        let more = keys.len() > size as usize;
        keys.truncate(size as usize);
        let last = keys.last().filter(|_| more);
        let next_page_token = last.map(|key| self.page_tokens.issue(&scope, &cursor_of(key)));
        Ok(ApiKeyPage { keys, next_page_token })
    }
}

fn cursor_of(key: &ApiKey) -> Cursor {
    Cursor { values: vec![CursorValue::Int(key.created_at.0)], id: UserId::Uuid(key.id.0) }
}

fn place_of(cursor: &Cursor) -> Option<(Timestamp, ApiKeyId)> {
    match (cursor.values.as_slice(), &cursor.id) {
        ([CursorValue::Int(at)], UserId::Uuid(id)) => Some((Timestamp(*at), ApiKeyId(*id))),
        _ => None,
    }
}
