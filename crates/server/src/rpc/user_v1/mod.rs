//! `user.v1.UserService`: converts, calls the use case, converts back. No rule lives here.

mod account;
mod addresses;
mod audit;
mod convert;
mod export_stream;
mod import_stream;
mod list_stream;
mod preferences;
mod watch;

use std::borrow::Cow;

use prost::Message;
use roster_api::{
    encoded::EncodedUser,
    server::user::v1::{
        ExportUsersResponse, SearchUsersResponse, WatchUsersResponse, user_service_server::UserService,
    },
    user::v1::{
        AddAddressRequest, Address, ChangePasswordRequest, ChangePasswordResponse, CreateUserRequest,
        DeactivateUserRequest, DeleteAddressRequest, DeleteUserRequest, ExportUsersRequest, GetAddressRequest,
        GetPreferencesRequest, GetUserByEmailRequest, GetUserRequest, HealthCheckRequest, HealthCheckResponse,
        ImportUsersRequest, ImportUsersResponse, ListAddressesRequest, ListAddressesResponse, ListAuditEventsRequest,
        ListAuditEventsResponse, ListUsersRequest, Preferences, ReactivateUserRequest, RequestPasswordResetRequest,
        RequestPasswordResetResponse, ResetPasswordRequest, ResetPasswordResponse, SearchUsersRequest,
        SendVerificationEmailRequest, SendVerificationEmailResponse, SetDefaultAddressRequest, UpdateAddressRequest,
        UpdatePreferencesRequest, UpdateUserRequest, VerifyEmailRequest, VerifyEmailResponse, WatchUsersRequest,
    },
};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use self::{
    addresses::{address_message, list_response},
    convert::{health_response, search_response},
    export_stream::ExportStream,
    import_stream::ImportStream,
    list_stream::UserStream,
    preferences::preferences_message,
    watch::WatchStream,
};
use super::{
    idempotency::{self, CallKey},
    own::Own,
    status,
};
use crate::ops::{Ctx, Error, ExportUsersInput, Ops};
use crate::{model::Violations, trace::Traced as _};

/// The service, for one call.
pub(super) struct UserV1 {
    ops: Own<Ops>,
    ctx: Ctx,
    key: Option<CallKey>,
}

impl UserV1 {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx, key: Option<CallKey>) -> Self {
        Self { ops, ctx, key }
    }

    /// The context of a call that changes something.
    fn keyed(&self, request: &impl Message) -> Cow<'_, Ctx> {
        idempotency::ctx_of(&self.ops, &self.ctx, self.key.as_ref(), request)
    }

    fn status(&self) -> impl FnOnce(Error) -> Status + '_ {
        |error| status::of_error(&error, self.ctx.request_id.as_str())
    }
}

#[tonic::async_trait]
impl UserService for UserV1 {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let user = self.ops.create_user(&ctx, input).traced("create_user").await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let user =
            self.ops.get_user(&self.ctx, &request.get_ref().user_id).traced("get_user").await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn get_user_by_email(
        &self,
        request: Request<GetUserByEmailRequest>,
    ) -> Result<Response<EncodedUser>, Status> {
        let user = self
            .ops
            .get_user_by_email(&self.ctx, &request.get_ref().email)
            .traced("get_user_by_email")
            .await
            .map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let user = self.ops.update_user(&ctx, input).traced("update_user").await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<()>, Status> {
        let ctx = self.keyed(request.get_ref());
        let DeleteUserRequest { user_id, etag } = request.into_inner();
        self.ops.delete_user(&ctx, &user_id, etag).traced("delete_user").await.map_err(self.status())?;
        Ok(Response::new(()))
    }

    async fn deactivate_user(&self, request: Request<DeactivateUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let user = self.ops.deactivate_user(&ctx, input).traced("deactivate_user").await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn reactivate_user(&self, request: Request<ReactivateUserRequest>) -> Result<Response<EncodedUser>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let user = self.ops.reactivate_user(&ctx, input).traced("reactivate_user").await.map_err(self.status())?;
        Ok(Response::new(user.into_message()))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<BoxStream<EncodedUser>>, Status> {
        let input = convert::list_input(request.into_inner());
        let page = self.ops.list_users(&self.ctx, &input).traced("list_users").await.map_err(self.status())?;
        Ok(Response::new(Box::pin(UserStream::new(page))))
    }

    async fn search_users(
        &self,
        request: Request<SearchUsersRequest>,
    ) -> Result<Response<SearchUsersResponse>, Status> {
        let found = self
            .ops
            .search_users(&self.ctx, &request.into_inner().into())
            .traced("search_users")
            .await
            .map_err(self.status())?;
        Ok(Response::new(search_response(found)))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        self.ops.change_password(&ctx, input).traced("change_password").await.map_err(self.status())?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(health_response(self.ops.health_check().await)))
    }

    async fn add_address(&self, request: Request<AddAddressRequest>) -> Result<Response<Address>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let address = self.ops.add_address(&ctx, input).traced("add_address").await.map_err(self.status())?;
        Ok(Response::new(address_message(address)))
    }

    async fn get_address(&self, request: Request<GetAddressRequest>) -> Result<Response<Address>, Status> {
        let GetAddressRequest { user_id, address_id } = request.get_ref();
        let address =
            self.ops.get_address(&self.ctx, user_id, address_id).traced("get_address").await.map_err(self.status())?;
        Ok(Response::new(address_message(address)))
    }

    async fn update_address(&self, request: Request<UpdateAddressRequest>) -> Result<Response<Address>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let address = self.ops.update_address(&ctx, input).traced("update_address").await.map_err(self.status())?;
        Ok(Response::new(address_message(address)))
    }

    async fn delete_address(&self, request: Request<DeleteAddressRequest>) -> Result<Response<()>, Status> {
        let ctx = self.keyed(request.get_ref());
        let DeleteAddressRequest { user_id, address_id, etag } = request.into_inner();
        self.ops
            .delete_address(&ctx, &user_id, &address_id, etag)
            .traced("delete_address")
            .await
            .map_err(self.status())?;
        Ok(Response::new(()))
    }

    async fn list_addresses(
        &self,
        request: Request<ListAddressesRequest>,
    ) -> Result<Response<ListAddressesResponse>, Status> {
        let ListAddressesRequest { user_id, kind } = request.get_ref();
        let addresses =
            self.ops.list_addresses(&self.ctx, user_id, *kind).traced("list_addresses").await.map_err(self.status())?;
        Ok(Response::new(list_response(addresses)))
    }

    async fn set_default_address(
        &self,
        request: Request<SetDefaultAddressRequest>,
    ) -> Result<Response<Address>, Status> {
        let ctx = self.keyed(request.get_ref());
        let SetDefaultAddressRequest { user_id, address_id } = request.get_ref();
        let address = self
            .ops
            .set_default_address(&ctx, user_id, address_id)
            .traced("set_default_address")
            .await
            .map_err(self.status())?;
        Ok(Response::new(address_message(address)))
    }

    async fn get_preferences(&self, request: Request<GetPreferencesRequest>) -> Result<Response<Preferences>, Status> {
        let user_id = &request.get_ref().user_id;
        let preferences =
            self.ops.get_preferences(&self.ctx, user_id).traced("get_preferences").await.map_err(self.status())?;
        Ok(Response::new(preferences_message(preferences)))
    }

    async fn update_preferences(
        &self,
        request: Request<UpdatePreferencesRequest>,
    ) -> Result<Response<Preferences>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = request.into_inner().into();
        let preferences =
            self.ops.update_preferences(&ctx, input).traced("update_preferences").await.map_err(self.status())?;
        Ok(Response::new(preferences_message(preferences)))
    }

    async fn watch_users(
        &self,
        request: Request<WatchUsersRequest>,
    ) -> Result<Response<BoxStream<WatchUsersResponse>>, Status> {
        let input = request.into_inner().into();
        let watch = self.ops.watch_users(&self.ctx, &input).traced("watch_users").await.map_err(self.status())?;
        Ok(Response::new(Box::pin(WatchStream::new(watch, self.ctx.request_id.clone()))))
    }

    async fn import_users(
        &self,
        request: Request<Streaming<ImportUsersRequest>>,
    ) -> Result<Response<BoxStream<ImportUsersResponse>>, Status> {
        if self.key.is_some() {
            let mut violations = Violations::new();
            violations
                .add("idempotency-key", "is not for ImportUsers: `import_key` in its options does that, row by row");
            return Err(self.status()(violations.into()));
        }
        // Answered before the first message: a client may wait for that before it sends one.
        let stream = ImportStream::new(self.ops.shared(), self.ctx.clone(), request.into_inner());
        Ok(Response::new(Box::pin(stream)))
    }

    async fn export_users(
        &self,
        request: Request<ExportUsersRequest>,
    ) -> Result<Response<BoxStream<ExportUsersResponse>>, Status> {
        let ExportUsersRequest { filter, after_user_id } = request.into_inner();
        let input = ExportUsersInput { filter, after_user_id };
        let export = self
            .ops
            .shared()
            .begin_export(self.ctx.clone(), input)
            .traced("begin_export")
            .await
            .map_err(self.status())?;
        Ok(Response::new(Box::pin(ExportStream::new(export, self.ctx.request_id.clone()))))
    }

    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        let input = request.into_inner().into();
        let page =
            self.ops.list_audit_events(&self.ctx, &input).traced("list_audit_events").await.map_err(self.status())?;
        Ok(Response::new(audit::page_message(page)))
    }

    async fn send_verification_email(
        &self,
        request: Request<SendVerificationEmailRequest>,
    ) -> Result<Response<SendVerificationEmailResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        account::send_verification_email(&self.ops, &ctx, request.get_ref()).await.map_err(self.status())
    }

    async fn verify_email(
        &self,
        request: Request<VerifyEmailRequest>,
    ) -> Result<Response<VerifyEmailResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        account::verify_email(&self.ops, &ctx, request.into_inner()).await.map_err(self.status())
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        account::request_password_reset(&self.ops, &ctx, request.get_ref()).await.map_err(self.status())
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        account::reset_password(&self.ops, &ctx, request.into_inner()).await.map_err(self.status())
    }
}
