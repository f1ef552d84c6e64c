//! Messages about sessions to inputs of the use cases, and back.

use roster_api::auth::v1 as api;

use crate::{
    model::{Session, SessionId},
    ops::{ListSessionsInput, SessionPage, SignInInput, SignedIn, Tokens},
    rpc::time::timestamp,
};

pub(super) fn sign_in_response(signed_in: SignedIn) -> api::SignInResponse {
    api::SignInResponse {
        tokens: Some(tokens_message(signed_in.tokens)),
        user_id: signed_in.user_id.to_text(),
        session_id: signed_in.session_id.to_string(),
    }
}

pub(super) fn tokens_message(tokens: Tokens) -> api::Tokens {
    api::Tokens {
        access_token_expires_at: Some(timestamp(tokens.access.expires_at)),
        access_token: tokens.access.token.into_string(),
        refresh_token: tokens.refresh.as_str().to_owned(),
        refresh_token_expires_at: Some(timestamp(tokens.refresh_expires_at)),
    }
}

pub(super) fn list_response(page: SessionPage, current: Option<SessionId>) -> api::ListSessionsResponse {
    api::ListSessionsResponse {
        sessions: page.sessions.into_iter().map(|session| session_message(session, current)).collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }
}

fn session_message(session: Session, current: Option<SessionId>) -> api::Session {
    api::Session {
        id: session.id.to_string(),
        user_id: session.user_id.to_text(),
        device: session.device,
        remote_address: session.remote_address,
        created_at: Some(timestamp(session.created_at)),
        last_used_at: Some(timestamp(session.last_used_at)),
        expires_at: Some(timestamp(session.expires_at)),
        current: current == Some(session.id),
    }
}

impl From<api::SignInRequest> for SignInInput {
    fn from(request: api::SignInRequest) -> Self {
        Self { login: request.login, password: request.password, device: request.device }
    }
}

impl From<api::ListSessionsRequest> for ListSessionsInput {
    fn from(request: api::ListSessionsRequest) -> Self {
        Self { user_id: request.user_id, page_size: request.page_size, page_token: request.page_token }
    }
}
