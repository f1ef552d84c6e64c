//! `notification.v1.NotificationService`: converts, calls the use case, converts back. No rule lives here.

mod convert;

pub(super) use self::convert::word;

use roster_api::{
    notification::v1::{
        ConnectRequest, ConnectResponse, GetClientStatusRequest, GetClientStatusResponse, SendMessageRequest,
        SendMessageResponse, WatchClientStatusRequest, WatchClientStatusResponse,
    },
    server::notification::v1::notification_service_server::NotificationService,
};
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use super::{own::Own, status};
use crate::ops::{Ctx, End, Error, Ops};

/// The service, for one call.
pub(super) struct NotificationV1 {
    ops: Own<Ops>,
    ctx: Ctx,
}

impl NotificationV1 {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx) -> Self {
        Self { ops, ctx }
    }

    fn status(&self) -> impl FnOnce(Error) -> Status + '_ {
        |error| status::of_error(&error, self.ctx.request_id.as_str())
    }

    /// How a stream of this call ends.
    fn end(&self) -> impl Fn(End<Status>) -> Status + Send + use<> {
        let request_id = self.ctx.request_id.clone();
        move |end| match end {
            End::Error(error) => status::of_error(&error, request_id.as_str()),
            End::Inbound(status) => status,
        }
    }
}

#[tonic::async_trait]
impl NotificationService for NotificationV1 {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let input = request.into_inner().into();
        let taken = self.ops.send_message(&self.ctx, &input).map_err(self.status())?;
        Ok(Response::new(convert::taken(taken)))
    }

    async fn get_client_status(
        &self,
        request: Request<GetClientStatusRequest>,
    ) -> Result<Response<GetClientStatusResponse>, Status> {
        let input = request.into_inner().into();
        let page = self.ops.get_client_status(&self.ctx, &input).map_err(self.status())?;
        Ok(Response::new(convert::page(page)))
    }

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<BoxStream<ConnectResponse>>, Status> {
        let inbound = request.into_inner().map(|message| message.map(Into::into));
        let end = self.end();
        let outputs = self.ops.connect(&self.ctx, inbound);
        Ok(Response::new(Box::pin(outputs.map(move |message| message.map(convert::connect_response).map_err(&end)))))
    }

    async fn watch_client_status(
        &self,
        request: Request<WatchClientStatusRequest>,
    ) -> Result<Response<BoxStream<WatchClientStatusResponse>>, Status> {
        let end = self.end();
        let outputs = self.ops.watch_clients(&self.ctx, request.into_inner().into()).map_err(self.status())?;
        Ok(Response::new(Box::pin(outputs.map(move |event| event.map(convert::watch_response).map_err(&end)))))
    }
}
