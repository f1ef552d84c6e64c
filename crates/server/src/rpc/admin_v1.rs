//! `roster.admin.v1.AdminService`: converts, calls the use case, converts back. No rule lives here.

use std::borrow::Cow;

use prost::Message;
use roster_api::{
    admin::v1::{
        GetMailRequest, GetMailResponse, ListMailsRequest, ListMailsResponse, Mail, RotateSigningKeyRequest,
        RotateSigningKeyResponse,
    },
    server::admin::v1::admin_service_server::AdminService,
};
use tonic::{Request, Response, Status};

use super::{
    idempotency::{self, CallKey},
    own::Own,
    status,
    time::timestamp,
};
use crate::{
    model,
    ops::{Ctx, Error, MailView, Ops},
    trace::Traced as _,
};

/// The service, for one call.
pub(super) struct AdminV1 {
    ops: Own<Ops>,
    ctx: Ctx,
    key: Option<CallKey>,
}

impl AdminV1 {
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
impl AdminService for AdminV1 {
    async fn rotate_signing_key(
        &self,
        request: Request<RotateSigningKeyRequest>,
    ) -> Result<Response<RotateSigningKeyResponse>, Status> {
        let ctx = self.keyed(request.get_ref());
        let keys = self.ops.rotate_signing_key(&ctx).traced("rotate_signing_key").await.map_err(self.status())?;
        let (key_id, verifying_key_ids) = (keys.key_id, keys.verifying_key_ids);
        Ok(Response::new(RotateSigningKeyResponse { key_id, verifying_key_ids }))
    }

    async fn list_mails(&self, request: Request<ListMailsRequest>) -> Result<Response<ListMailsResponse>, Status> {
        let ListMailsRequest { page_size, page_token } = request.into_inner();
        let page =
            self.ops.list_mails(&self.ctx, page_size, &page_token).traced("list_mails").await.map_err(self.status())?;
        Ok(Response::new(ListMailsResponse {
            mails: page.mails.into_iter().map(mail_message).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn get_mail(&self, request: Request<GetMailRequest>) -> Result<Response<GetMailResponse>, Status> {
        let found =
            self.ops.get_mail(&self.ctx, &request.get_ref().mail_id).traced("get_mail").await.map_err(self.status())?;
        let MailView { mail, subject, text } = found;
        Ok(Response::new(GetMailResponse { mail: Some(Mail { subject, text, ..mail_message(mail) }) }))
    }
}

fn mail_message(mail: model::Mail) -> Mail {
    Mail {
        id: mail.id.to_string(),
        kind: mail.kind as i32,
        user_id: mail.user_id.to_text(),
        recipient: mail.recipient,
        language: mail.language.tag().to_owned(),
        state: mail.state as i32,
        attempts: i32::try_from(mail.attempts).unwrap_or(i32::MAX),
        last_error: mail.last_error,
        created_at: Some(timestamp(mail.created_at)),
        next_attempt_at: mail.next_attempt_at.map(timestamp),
        sent_at: mail.sent_at.map(timestamp),
        expires_at: Some(timestamp(mail.expires_at)),
        subject: String::new(),
        text: String::new(),
    }
}
