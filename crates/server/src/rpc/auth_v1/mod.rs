//! `auth.v1.AuthService`: converts, calls the use case, converts back. No rule lives here.

mod api_keys;

use std::sync::Arc;

use roster_api::{
    auth::v1::{
        CreateApiKeyRequest, CreateApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse, RevokeApiKeyRequest,
        RevokeApiKeyResponse,
    },
    server::auth::v1::auth_service_server::AuthService,
};
use tonic::{Request, Response, Status};

use super::status;
use crate::ops::{Ctx, Error, Ops};

/// The service, for one call.
pub(super) struct AuthV1 {
    ops: Arc<Ops>,
    ctx: Ctx,
}

impl AuthV1 {
    pub(super) fn new(ops: Arc<Ops>, ctx: Ctx) -> Self {
        Self { ops, ctx }
    }

    fn status(&self) -> impl FnOnce(Error) -> Status + '_ {
        |error| status::of_error(&error, self.ctx.request_id.as_str())
    }
}

#[tonic::async_trait]
impl AuthService for AuthV1 {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let input = request.into_inner().into();
        let created = self.ops.create_api_key(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(api_keys::created_response(created)))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let ListApiKeysRequest { page_size, page_token } = request.into_inner();
        let page = self.ops.list_api_keys(&self.ctx, page_size, &page_token).await.map_err(self.status())?;
        Ok(Response::new(api_keys::list_response(page)))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        self.ops.revoke_api_key(&self.ctx, &request.get_ref().api_key_id).await.map_err(self.status())?;
        Ok(Response::new(RevokeApiKeyResponse {}))
    }
}
