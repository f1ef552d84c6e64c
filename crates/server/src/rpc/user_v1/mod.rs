//! `user.v1.UserService`: converts, calls the use case, converts back. No rule lives here.

mod account;
mod addresses;
mod audit;
mod convert;
mod list_stream;
mod preferences;

use roster_api::{
    encoded::EncodedUser,
    server::user::v1::{SearchUsersResponse, user_service_server::UserService},
    user::v1::{
        AddAddressRequest, Address, ChangePasswordRequest, ChangePasswordResponse, CreateUserRequest,
        DeactivateUserRequest, DeleteAddressRequest, DeleteUserRequest, GetAddressRequest, GetPreferencesRequest,
        GetUserByEmailRequest, GetUserRequest, HealthCheckRequest, HealthCheckResponse, ListAddressesRequest,
        ListAddressesResponse, ListAuditEventsRequest, ListAuditEventsResponse, ListUsersRequest, Preferences,
        ReactivateUserRequest, RequestPasswordResetRequest, RequestPasswordResetResponse, ResetPasswordRequest,
        ResetPasswordResponse, SearchUsersRequest, SendVerificationEmailRequest, SendVerificationEmailResponse,
        SetDefaultAddressRequest, UpdateAddressRequest, UpdatePreferencesRequest, UpdateUserRequest,
        VerifyEmailRequest, VerifyEmailResponse,
    },
};
use tonic::{Request, Response, Status, codegen::BoxStream};

use self::{
    addresses::{address_message, list_response},
    convert::{health_response, search_response},
    list_stream::UserStream,
    preferences::preferences_message,
};
use super::{own::Own, status};
use crate::ops::{Ctx, Error, Ops};

/// The service, for one call.
pub(super) struct UserV1 {
    ops: Own<Ops>,
    ctx: Ctx,
}

impl UserV1 {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx) -> Self {
        Self { ops, ctx }
    }

    fn status(&self) -> impl FnOnce(Error) -> Status + '_ {
        |error| status::of_error(&error, self.ctx.request_id.as_str())
    }
}

#[tonic::async_trait]
impl UserService for UserV1 {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let input = request.into_inner().into();
        let user = self.ops.create_user(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let user = self.ops.get_user(&self.ctx, &request.get_ref().user_id).await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn get_user_by_email(
        &self,
        request: Request<GetUserByEmailRequest>,
    ) -> Result<Response<EncodedUser>, Status> {
        let user = self.ops.get_user_by_email(&self.ctx, &request.get_ref().email).await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let input = request.into_inner().into();
        let user = self.ops.update_user(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<()>, Status> {
        let DeleteUserRequest { user_id, etag } = request.into_inner();
        self.ops.delete_user(&self.ctx, &user_id, etag).await.map_err(self.status())?;
        Ok(Response::new(()))
    }

    async fn deactivate_user(&self, request: Request<DeactivateUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let input = request.into_inner().into();
        let user = self.ops.deactivate_user(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn reactivate_user(&self, request: Request<ReactivateUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let input = request.into_inner().into();
        let user = self.ops.reactivate_user(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<BoxStream<EncodedUser>>, Status> {
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

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let input = request.into_inner().into();
        self.ops.change_password(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(health_response(self.ops.health_check().await)))
    }

    async fn add_address(&self, request: Request<AddAddressRequest>) -> Result<Response<Address>, Status> {
        let input = request.into_inner().into();
        let address = self.ops.add_address(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(address_message(address)))
    }

    async fn get_address(&self, request: Request<GetAddressRequest>) -> Result<Response<Address>, Status> {
        let GetAddressRequest { user_id, address_id } = request.get_ref();
        let address = self.ops.get_address(&self.ctx, user_id, address_id).await.map_err(self.status())?;
        Ok(Response::new(address_message(address)))
    }

    async fn update_address(&self, request: Request<UpdateAddressRequest>) -> Result<Response<Address>, Status> {
        let input = request.into_inner().into();
        let address = self.ops.update_address(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(address_message(address)))
    }

    async fn delete_address(&self, request: Request<DeleteAddressRequest>) -> Result<Response<()>, Status> {
        let DeleteAddressRequest { user_id, address_id, etag } = request.into_inner();
        self.ops.delete_address(&self.ctx, &user_id, &address_id, etag).await.map_err(self.status())?;
        Ok(Response::new(()))
    }

    async fn list_addresses(
        &self,
        request: Request<ListAddressesRequest>,
    ) -> Result<Response<ListAddressesResponse>, Status> {
        let ListAddressesRequest { user_id, kind } = request.get_ref();
        let addresses = self.ops.list_addresses(&self.ctx, user_id, *kind).await.map_err(self.status())?;
        Ok(Response::new(list_response(addresses)))
    }

    async fn set_default_address(
        &self,
        request: Request<SetDefaultAddressRequest>,
    ) -> Result<Response<Address>, Status> {
        let SetDefaultAddressRequest { user_id, address_id } = request.get_ref();
        let address = self.ops.set_default_address(&self.ctx, user_id, address_id).await.map_err(self.status())?;
        Ok(Response::new(address_message(address)))
    }

    async fn get_preferences(&self, request: Request<GetPreferencesRequest>) -> Result<Response<Preferences>, Status> {
        let user_id = &request.get_ref().user_id;
        let preferences = self.ops.get_preferences(&self.ctx, user_id).await.map_err(self.status())?;
        Ok(Response::new(preferences_message(preferences)))
    }

    async fn update_preferences(
        &self,
        request: Request<UpdatePreferencesRequest>,
    ) -> Result<Response<Preferences>, Status> {
        let input = request.into_inner().into();
        let preferences = self.ops.update_preferences(&self.ctx, input).await.map_err(self.status())?;
        Ok(Response::new(preferences_message(preferences)))
    }

    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        let input = request.into_inner().into();
        let page = self.ops.list_audit_events(&self.ctx, &input).await.map_err(self.status())?;
        Ok(Response::new(audit::page_message(page)))
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
