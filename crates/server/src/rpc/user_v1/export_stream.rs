//! The stream of `ExportUsers`: how many users there are, and then each of them.
//!
//! A page is handed to the encoder user by user without a wait, so that it packs many into one frame; meanwhile the next
//! page is read.

use std::{
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use roster_api::server::user::v1::ExportUsersResponse;
use tokio_stream::Stream;
use tonic::Status;

use crate::{
    ops::{Error, Export, ExportPage, RequestId},
    rpc::status,
    store::StoredUser,
};

type Next = Pin<Box<dyn Future<Output = Result<ExportPage, Error>> + Send>>;

/// See the [module](self).
pub(in crate::rpc) struct ExportStream {
    request_id: RequestId,
    export: Export,
    /// The first message, until it is sent.
    total: Option<ExportUsersResponse>,
    users: vec::IntoIter<StoredUser>,
    next: Option<Next>,
    /// The next page, if it was there when it was asked for.
    ready: Option<Result<ExportPage, Error>>,
}

impl ExportStream {
    pub(super) fn new(export: Export, request_id: RequestId) -> Self {
        let total_size = i64::try_from(export.total_size()).unwrap_or(i64::MAX);
        let total = Some(ExportUsersResponse { user: None, total_size });
        Self { request_id, export, total, users: Vec::new().into_iter(), next: None, ready: None }
    }

    /// Asks for the next page, if there is one and it was not asked for.
    fn ask(&mut self, cx: &mut Context<'_>) {
        if self.next.is_none()
            && self.ready.is_none()
            && let Some(next) = self.export.next_page()
        {
            let mut next: Next = Box::pin(next);
            // It begins when it is polled.
            match next.as_mut().poll(cx) {
                Poll::Ready(page) => self.ready = Some(page),
                Poll::Pending => self.next = Some(next),
            }
        }
    }
}

impl Stream for ExportStream {
    type Item = Result<ExportUsersResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(total) = this.total.take() {
            this.ask(cx);
            return Poll::Ready(Some(Ok(total)));
        }
        loop {
            if let Some(user) = this.users.next() {
                return Poll::Ready(Some(Ok(ExportUsersResponse { user: Some(user.into_message()), total_size: 0 })));
            }
            let page = match (this.ready.take(), &mut this.next) {
                (Some(page), _) => page,
                (None, Some(next)) => match next.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(page) => page,
                },
                (None, None) => return Poll::Ready(None),
            };
            this.next = None;
            match page {
                Err(error) => return Poll::Ready(Some(Err(status::of_error(&error, this.request_id.as_str())))),
                Ok(page) => {
                    this.export.go_on(&page);
                    this.users = page.users.into_iter();
                    this.ask(cx);
                }
            }
        }
    }
}
