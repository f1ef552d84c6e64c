//! `user.v1.UserService`: converts, calls the use case, converts back. No rule lives here.

mod account;
pub(super) mod convert;
mod list_stream;

use std::sync::Arc;

use roster_api::{
    server::user::v1::user_service_server::UserService,
    user::v1::{
        CreateUserRequest, DeactivateUserRequest, DeleteUserRequest, GetUserByEmailRequest, GetUserRequest,
        HealthCheckRequest, HealthCheckResponse, ListUsersRequest, ReactivateUserRequest, RequestPasswordResetRequest,
        RequestPasswordResetResponse, ResetPasswordRequest, ResetPasswordResponse, SearchUsersRequest,
        SearchUsersResponse, SendVerificationEmailRequest, SendVerificationEmailResponse, UpdateUserRequest, User,
        VerifyEmailRequest, VerifyEmailResponse,
    },
};
use tonic::{Request, Response, Status, codegen::BoxStream};

use self::{
    convert::{health_response, search_response, shared_user_message},
    list_stream::UserStream,
};
use super::status;
use crate::ops::{Ctx, Error, Ops};

/// The service, for one call.
pub(super) struct UserV1 {
    ops: Arc<Ops>,
    ctx: Ctx,
}

impl UserV1 {
    pub(super) fn new(ops: Arc<Ops>, ctx: Ctx) -> Self {
        Self { ops, ctx }
    }

    fn status(&self) -> impl FnOnce(Error) -> Status + '_ {
        |error| status::of_error(&error, self.ctx.request_id.as_str())
    }
}

#[tonic::async_trait]
impl UserService for UserV1 {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        let input = request.into_inner().into();
        let user = self.ops.create_user(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(shared_user_message(user)))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let user = self.ops.get_user(&self.ctx, &request.get_ref().user_id).await.map_err(self.status())?;
        Ok(Response::new(shared_user_message(user)))
    }

    async fn get_user_by_email(&self, request: Request<GetUserByEmailRequest>) -> Result<Response<User>, Status> {
        let user = self.ops.get_user_by_email(&self.ctx, &request.get_ref().email).await.map_err(self.status())?;
        Ok(Response::new(shared_user_message(user)))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<User>, Status> {
        let input = request.into_inner().into();
        let user = self.ops.update_user(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(shared_user_message(user)))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<()>, Status> {
        let DeleteUserRequest { user_id, etag } = request.into_inner();
        self.ops.delete_user(&self.ctx, &user_id, etag).await.map_err(self.status())?;
        Ok(Response::new(()))
    }

    async fn deactivate_user(&self, request: Request<DeactivateUserRequest>) -> Result<Response<User>, Status> {
        let input = request.into_inner().into();
        let user = self.ops.deactivate_user(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(shared_user_message(user)))
    }

    async fn reactivate_user(&self, request: Request<ReactivateUserRequest>) -> Result<Response<User>, Status> {
        let input = request.into_inner().into();
        let user = self.ops.reactivate_user(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(shared_user_message(user)))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<BoxStream<User>>, Status> {
        let input = convert::list_input(request.into_inner());
        let page = self.ops.list_users(&self.ctx, &input).await.map_err(self.status())?;
        Ok(Response::new(Box::pin(UserStream::new(page))))
    }

    async fn search_users(
        &self,
        request: Request<SearchUsersRequest>,
    ) -> Result<Response<SearchUsersResponse>, Status> {
        let found = self.ops.search_users(&self.ctx, &request.into_inner().into()).await.map_err(self.status())?;
        Ok(Response::new(search_response(found)))
    }

    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(health_response(self.ops.health_check().await)))
    }

    async fn send_verification_email(
        &self,
        request: Request<SendVerificationEmailRequest>,
    ) -> Result<Response<SendVerificationEmailResponse>, Status> {
        account::send_verification_email(&self.ops, &self.ctx, request.get_ref()).await.map_err(self.status())
    }

    async fn verify_email(
        &self,
        request: Request<VerifyEmailRequest>,
    ) -> Result<Response<VerifyEmailResponse>, Status> {
        account::verify_email(&self.ops, &self.ctx, request.into_inner()).await.map_err(self.status())
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        account::request_password_reset(&self.ops, &self.ctx, request.get_ref()).await.map_err(self.status())
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        account::reset_password(&self.ops, &self.ctx, request.into_inner()).await.map_err(self.status())
    }
}
