//! `NotificationService` without a package, for clients that hold its proto: the same clients as `notification.v1`.

use roster_api::{
    compat::notification::{GetClientStatusRequest, GetClientStatusResponse, SendMessageRequest, SendMessageResponse},
    server::compat::notification::notification_service_server::NotificationService,
};
use tonic::{Request, Response, Status};

use super::{notification_v1::word, own::Own, status};
use crate::{
    ops::{Ctx, Error, Ops, SendMessageInput, Vocabulary},
    trace::Traced as _,
};

/// The service, for one call.
pub(super) struct CompatNotification {
    ops: Own<Ops>,
    ctx: Ctx,
}

impl CompatNotification {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx) -> Self {
        Self { ops, ctx }
    }

    fn status(&self) -> impl FnOnce(Error) -> Status + '_ {
        |error| status::of_error(&error, self.ctx.request_id.as_str())
    }
}

#[tonic::async_trait]
impl NotificationService for CompatNotification {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let SendMessageRequest { client_id, message_type } = request.into_inner();
        let input = SendMessageInput { client_id, message_type, vocabulary: Vocabulary::Old };
        let taken = self.ops.send_message(&self.ctx, &input).map_err(self.status())?;
        Ok(Response::new(SendMessageResponse { success: true, message: taken.message }))
    }

    async fn get_client_status(
        &self,
        request: Request<GetClientStatusRequest>,
    ) -> Result<Response<GetClientStatusResponse>, Status> {
        let client_id = &request.get_ref().client_id;
        let clients = self
            .ops
            .all_client_statuses(&self.ctx, client_id)
            .traced("all_client_statuses")
            .await
            .map_err(self.status())?;
        let statuses = clients.iter().map(|client| (client.id.as_ref().to_owned(), word(client).to_owned()));
        Ok(Response::new(GetClientStatusResponse { client_statuses: statuses.collect() }))
    }
}
