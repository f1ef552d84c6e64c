//! `user.UserService`, for clients that hold that older proto: the same users by the same rules. Converts, calls the use
//! case, converts back. No rule lives here.

mod batch;
mod convert;
mod trailers;
mod updates;

use std::borrow::Cow;

use prost::Message;
use roster_api::{
    compat::user::{
        BatchCreateResponse, CreateUserRequest, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
        ListUsersRequest, User, UserUpdateRequest, UserUpdateResponse,
    },
    server::compat::user::user_service_server::UserService,
};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

pub(super) use self::trailers::add_trailers;
use super::{
    idempotency::{self, CallKey},
    own::Own,
    status,
};
use crate::{
    limits::MessageLimits,
    ops::{Ctx, Error, Ops},
    trace::Traced as _,
};

/// The service, for one call.
pub(super) struct CompatUser {
    ops: Own<Ops>,
    ctx: Ctx,
    key: Option<CallKey>,
}

impl CompatUser {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx, key: Option<CallKey>) -> Self {
        Self { ops, ctx, key }
    }

    /// The context of a call that changes something.
    fn keyed(&self, request: &impl Message) -> Cow<'_, Ctx> {
        idempotency::ctx_of(&self.ops, &self.ctx, self.key.as_ref(), request)
    }

    fn status(&self) -> impl Fn(Error) -> Status + '_ {
        |error| status::of_error(&convert::renamed(error), self.ctx.request_id.as_str())
    }
}

#[tonic::async_trait]
impl UserService for CompatUser {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        let ctx = self.keyed(request.get_ref());
        let input = convert::create_input(request.into_inner());
        let user = self.ops.create_user(&ctx, input).traced("create_user").await.map_err(self.status())?;
        Ok(Response::new(convert::message(&user).map_err(self.status())?))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let user =
            self.ops.get_user(&self.ctx, &request.get_ref().id).traced("get_user").await.map_err(self.status())?;
        Ok(Response::new(convert::message(&user).map_err(self.status())?))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<BoxStream<User>>, Status> {
        let input = convert::list_input(&request.into_inner());
        let page = self.ops.list_users(&self.ctx, &input).traced("list_users").await.map_err(self.status())?;
        let request_id = self.ctx.request_id.clone();
        // Each is converted when there is room for it on the way out.
        let users = page
            .users
            .into_iter()
            .map(move |user| convert::message(&user).map_err(|error| status::of_error(&error, request_id.as_str())));
        Ok(Response::new(Box::pin(tokio_stream::iter(users))))
    }

    async fn batch_create_users(
        &self,
        request: Request<Streaming<CreateUserRequest>>,
    ) -> Result<Response<BatchCreateResponse>, Status> {
        let batch = batch::Batch::new(self.ops.clone(), self.ctx.clone(), self.key.clone());
        batch.create(request.into_inner()).await
    }

    async fn stream_user_updates(
        &self,
        mut request: Request<Streaming<UserUpdateRequest>>,
    ) -> Result<Response<BoxStream<UserUpdateResponse>>, Status> {
        let limits = request.extensions_mut().remove::<MessageLimits>();
        let updates = updates::Updates::new(self.ops.clone(), self.ctx.clone(), self.key.clone(), limits);
        Ok(Response::new(Box::pin(updates.answer(request.into_inner()))))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<DeleteUserResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        self.ops
            .delete_user(&ctx, &request.get_ref().id, String::new())
            .traced("delete_user")
            .await
            .map_err(self.status())?;
        Ok(Response::new(DeleteUserResponse { success: true }))
    }
}
