//! `StreamUserUpdates`: each request is done and answered before the next is read, so nothing piles up on either side.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use roster_api::compat::user::{UserUpdateRequest, UserUpdateResponse};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::convert;
use crate::{
    limits::MessageLimits,
    ops::{Ctx, Error, Ops, Reason},
    rpc::{
        body::Moment,
        idempotency::{self, CallKey},
        own::Own,
        status,
    },
    trace::Traced as _,
};

/// Told of an update that was done.
const UPDATED: &str = "updated";

pub(super) struct Updates {
    ops: Own<Ops>,
    ctx: Ctx,
    key: Option<CallKey>,
    limits: Option<MessageLimits>,
}

impl Updates {
    pub(super) fn new(ops: Own<Ops>, ctx: Ctx, key: Option<CallKey>, limits: Option<MessageLimits>) -> Self {
        Self { ops, ctx, key, limits }
    }

    /// An answer to each request. Ends with the requests, or, between two of them, when the server drains.
    pub(super) fn answer(
        self,
        requests: impl Stream<Item = Result<UserUpdateRequest, Status>> + Send + Unpin + 'static,
    ) -> impl Stream<Item = Result<UserUpdateResponse, Status>> + Send + 'static {
        let ops = Arc::clone(&self.ops);
        let drain: Moment = Box::pin(async move { ops.draining().await });
        let this = Arc::new(self);
        let mut number = 0_u32;
        UntilDrain { requests, drain: Some(drain) }.then(move |request| {
            number = number.wrapping_add(1);
            let (this, number) = (Arc::clone(&this), number);
            async move { Ok(this.update(request?, number).await) }
        })
    }

    async fn update(&self, request: UserUpdateRequest, number: u32) -> UserUpdateResponse {
        let user_id = request.user_id.clone();
        match self.try_update(request, number).await {
            Ok(()) => UserUpdateResponse { user_id, success: true, message: UPDATED.into() },
            Err(error) => {
                let error = convert::renamed_of_update(error);
                let status = status::of_error(&error, self.ctx.request_id.as_str());
                let message = format!("{}: {}", error.reason().name(), status.message());
                UserUpdateResponse { user_id, success: false, message }
            }
        }
    }

    async fn try_update(&self, request: UserUpdateRequest, number: u32) -> Result<(), Error> {
        if let Some(limits) = &self.limits {
            limits.take().map_err(|exceeded| Error::RateLimited { retry_after: exceeded.retry_after })?;
        }
        let ctx = idempotency::ctx_of_row(&self.ops, &self.ctx, self.key.as_ref(), number, &request);
        let input = convert::update_input(request)?;
        self.ops.update_user(&ctx, input).traced("update_user").await.map(|_| ())
    }
}

/// Requests until the server drains. What has come is answered first.
struct UntilDrain<S> {
    requests: S,
    /// `None` once it was told.
    drain: Option<Moment>,
}

impl<S: Stream<Item = Result<UserUpdateRequest, Status>> + Unpin> Stream for UntilDrain<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = &mut *self;
        let Some(drain) = &mut this.drain else { return Poll::Ready(None) };
        match Pin::new(&mut this.requests).poll_next(cx) {
            Poll::Pending if drain.as_mut().poll(cx).is_ready() => {
                this.drain = None;
                Poll::Ready(Some(Err(status::of_reason(Reason::ShuttingDown, "the server is stopping"))))
            }
            polled => polled,
        }
    }
}
