//! Lists a user's sessions, a page at a time.

use super::check_owner;
use crate::{
    model::{Permission, Session, SessionId, Timestamp, UserId, Violations},
    ops::{Ctx, Error, Ops, page_token::Scope, users::check_page_size},
    store::{Cursor, CursorValue, StoreError},
};

/// The permission to see the sessions of others.
const PERMISSION: Permission = Permission::SessionsRead;

/// A `ListSessionsRequest`.
#[derive(Clone, Debug, Default)]
pub struct ListSessionsInput {
    /// Empty for the caller.
    pub user_id: String,
    /// 0 for the default.
    pub page_size: i32,
    /// Empty for the first page.
    pub page_token: String,
}

/// A page of sessions.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The last used first.
    pub sessions: Vec<Session>,
    /// `None` at the end.
    pub next_page_token: Option<String>,
}

impl Ops {
    /// A page of the sessions of a user that have not ended.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], and those of the store.
    pub async fn list_sessions(&self, ctx: &Ctx, input: &ListSessionsInput) -> Result<SessionPage, Error> {
        let mut violations = Violations::new();
        let Some(user_id) = check_owner(ctx, &input.user_id, &mut violations) else { return Err(violations.into()) };
        ctx.caller.check_self_or(&user_id, PERMISSION)?;
        let size = check_page_size(input.page_size, &mut violations);
        let scope = Scope {
            method: "ListSessions",
            caller: ctx.caller.actor().to_string(),
            filter: user_id.to_string(),
            order_by: String::new(),
            search: "",
        };
        let after = match input.page_token.as_str() {
            "" => None,
            token => {
                let place = self.page_tokens.open(&scope, token).as_ref().and_then(place_of);
                violations
                    .check("page_token", place.ok_or("is not one that this list gave for the same user and caller"))
            }
        };
        violations.into_result()?;
        // One more than asked for, to know whether there is a next page.
        let mut sessions = self.store.list_sessions(&user_id, self.clock.now(), after, size + 1).await?;
        if sessions.is_empty() && self.store.find_user(&user_id).await?.is_none() {
            return Err(Error::for_user(&user_id)(StoreError::NotFound));
        }
        let more = sessions.len() > size as usize;
        sessions.truncate(size as usize);
        let last = sessions.last().filter(|_| more);
        let next_page_token = last.map(|session| self.page_tokens.issue(&scope, &cursor_of(session)));
        Ok(SessionPage { sessions, next_page_token })
    }
}

fn cursor_of(session: &Session) -> Cursor {
    Cursor { values: vec![CursorValue::Int(session.last_used_at.0)], id: UserId::Uuid(session.id.0) }
}

fn place_of(cursor: &Cursor) -> Option<(Timestamp, SessionId)> {
    match (cursor.values.as_slice(), &cursor.id) {
        ([CursorValue::Int(at)], UserId::Uuid(id)) => Some((Timestamp(*at), SessionId(*id))),
        _ => None,
    }
}
