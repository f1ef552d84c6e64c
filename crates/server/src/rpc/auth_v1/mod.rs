//! `auth.v1.AuthService`: converts, calls the use case, converts back. No rule lives here.

mod api_keys;
mod sessions;

use std::borrow::Cow;

use prost::Message;
use roster_api::{
    auth::v1::{
        CreateApiKeyRequest, CreateApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse, ListSessionsRequest,
        ListSessionsResponse, RefreshTokenRequest, RefreshTokenResponse, RevokeAllSessionsRequest,
        RevokeAllSessionsResponse, RevokeApiKeyRequest, RevokeApiKeyResponse, RevokeSessionRequest,
        RevokeSessionResponse, SignInRequest, SignInResponse, SignOutRequest, SignOutResponse,
    },
    server::auth::v1::auth_service_server::AuthService,
};
use tonic::{Request, Response, Status};

use super::{
    idempotency::{self, CallKey},
    own::Own,
    status,
};
use crate::{
    ops::{Ctx, Error, Ops},
    trace::Traced as _,
};

/// The service, for one call.
pub(super) struct AuthV1 {
    ops: Own<Ops>,
    ctx: Ctx,
    key: Option<CallKey>,
}

impl AuthV1 {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx, key: Option<CallKey>) -> Self {
        Self { ops, ctx, key }
    }

    /// The context of a call that changes something.
    fn keyed(&self, request: &impl Message) -> Cow<'_, Ctx> {
        idempotency::ctx_of(&self.ops, &self.ctx, self.key.as_ref(), request)
    }

    /// The same where it may depend on the session that the call is made with.
    fn keyed_in_session(&self, request: &impl Message, depends: bool) -> Cow<'_, Ctx> {
        let session = self.ctx.caller.session_id().filter(|_| depends);
        idempotency::ctx_in_session(&self.ops, &self.ctx, self.key.as_ref(), request, session)
    }

    fn status(&self) -> impl FnOnce(Error) -> Status + '_ {
        |error| status::of_error(&error, self.ctx.request_id.as_str())
    }
}

#[tonic::async_trait]
impl AuthService for AuthV1 {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let signed_in = self.ops.sign_in(&ctx, input).traced("sign_in").await.map_err(self.status())?;
        Ok(Response::new(sessions::sign_in_response(signed_in)))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        let token = request.into_inner().refresh_token;
        let tokens = self.ops.refresh_token(&ctx, &token).traced("refresh_token").await.map_err(self.status())?;
        Ok(Response::new(RefreshTokenResponse { tokens: Some(sessions::tokens_message(tokens)) }))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        // Without a word, the request is about the session that it is made with.
        let ctx = self.keyed_in_session(request.get_ref(), true);
        self.ops.sign_out(&ctx).traced("sign_out").await.map_err(self.status())?;
        Ok(Response::new(SignOutResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let input = request.into_inner().into();
        let page = self.ops.list_sessions(&self.ctx, &input).traced("list_sessions").await.map_err(self.status())?;
        Ok(Response::new(sessions::list_response(page, self.ctx.caller.session_id())))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        let RevokeSessionRequest { user_id, session_id } = request.into_inner();
        self.ops.revoke_session(&ctx, &user_id, &session_id).traced("revoke_session").await.map_err(self.status())?;
        Ok(Response::new(RevokeSessionResponse {}))
    }

    async fn revoke_all_sessions(
        &self,
        request: Request<RevokeAllSessionsRequest>,
    ) -> Result<Response<RevokeAllSessionsResponse>, Status> {
        let ctx = self.keyed_in_session(request.get_ref(), request.get_ref().keep_current);
        let RevokeAllSessionsRequest { user_id, keep_current } = request.into_inner();
        let revoked = self
            .ops
            .revoke_all_sessions(&ctx, &user_id, keep_current)
            .traced("revoke_all_sessions")
            .await
            .map_err(self.status())?;
        Ok(Response::new(RevokeAllSessionsResponse { revoked_count: i32::try_from(revoked).unwrap_or(i32::MAX) }))
    }

    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let created = self.ops.create_api_key(&ctx, input).traced("create_api_key").await.map_err(self.status())?;
        Ok(Response::new(api_keys::created_response(created)))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let ListApiKeysRequest { page_size, page_token } = request.into_inner();
        let page = self
            .ops
            .list_api_keys(&self.ctx, page_size, &page_token)
            .traced("list_api_keys")
            .await
            .map_err(self.status())?;
        Ok(Response::new(api_keys::list_response(page)))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        self.ops
            .revoke_api_key(&ctx, &request.get_ref().api_key_id)
            .traced("revoke_api_key")
            .await
            .map_err(self.status())?;
        Ok(Response::new(RevokeApiKeyResponse {}))
    }
}
