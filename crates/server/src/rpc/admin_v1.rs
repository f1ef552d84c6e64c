//! `roster.admin.v1.AdminService`: converts, calls the use case, converts back. No rule lives here.

use roster_api::{
    admin::v1::{RotateSigningKeyRequest, RotateSigningKeyResponse},
    server::admin::v1::admin_service_server::AdminService,
};
use tonic::{Request, Response, Status};

use super::{own::Own, status};
use crate::ops::{Ctx, Error, Ops};

/// The service, for one call.
pub(super) struct AdminV1 {
    ops: Own<Ops>,
    ctx: Ctx,
}

impl AdminV1 {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx) -> Self {
        Self { ops, ctx }
    }

    fn status(&self) -> impl FnOnce(Error) -> Status + '_ {
        |error| status::of_error(&error, self.ctx.request_id.as_str())
    }
}

#[tonic::async_trait]
impl AdminService for AdminV1 {
    async fn rotate_signing_key(
        &self,
        _: Request<RotateSigningKeyRequest>,
    ) -> Result<Response<RotateSigningKeyResponse>, Status> {
        let keys = self.ops.rotate_signing_key(&self.ctx).await.map_err(self.status())?;
        let (key_id, verifying_key_ids) = (keys.key_id, keys.verifying_key_ids);
        Ok(Response::new(RotateSigningKeyResponse { key_id, verifying_key_ids }))
    }
}
