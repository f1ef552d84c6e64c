//! The body of a response, watched where something waits for its end.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tonic::{Code, Status};

use super::{call_log::CallRecord, status};
use crate::{net::DrainSignal, ops::Reason};

/// A response's body. Most pass through; see [`Watched`].
pub struct CallBody {
    inner: tonic::body::Body,
    watched: Option<Box<Watched>>,
}

/// Why the end of a body matters.
pub(super) struct Watched {
    /// The body ends with `DEADLINE_EXCEEDED` then.
    deadline: Option<Pin<Box<Sleep>>>,
    /// A stream that would go on for ever ends with `UNAVAILABLE` once this is raised and it has nothing to say.
    drain: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Wants to know the status.
    record: Option<CallRecord>,
    ended: bool,
}

impl Watched {
    pub(super) fn new(
        deadline: Option<tokio::time::Instant>,
        drain: Option<DrainSignal>,
        record: Option<CallRecord>,
    ) -> Option<Box<Self>> {
        (deadline.is_some() || drain.is_some() || record.is_some()).then(|| {
            let deadline = deadline.map(|at| Box::pin(sleep_until(at)));
            let drain = drain.map(|signal| -> Pin<Box<dyn Future<Output = ()> + Send>> {
                Box::pin(async move { signal.draining().await })
            });
            Box::new(Self { deadline, drain, record, ended: false })
        })
    }

    /// Whether the body must end now though it has more to say.
    fn cut(&mut self, cx: &mut Context<'_>) -> Option<Status> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Some(status::of_reason(Reason::DeadlineExceeded, "the deadline has passed"));
        }
        if let Some(drain) = &mut self.drain
            && drain.as_mut().poll(cx).is_ready()
        {
            return Some(status::of_reason(Reason::ShuttingDown, "the server is stopping"));
        }
        None
    }

    fn end(&mut self, code: Code) {
        self.ended = true;
        if let Some(record) = &mut self.record {
            record.finish(code);
        }
    }
}

impl CallBody {
    /// A body that is watched if there is a reason to.
    pub(super) fn new(inner: tonic::body::Body, watched: Option<Box<Watched>>) -> Self {
        Self { inner, watched }
    }
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let mut frame = Pin::new(&mut this.inner).poll_frame(cx);
        let Some(watched) = &mut this.watched else { return frame };
        if watched.ended {
            return Poll::Ready(None);
        }
        match &mut frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    status::complete(trailers);
                    watched.end(code_in(trailers).unwrap_or(Code::Unknown));
                }
            }
            Poll::Ready(Some(Err(status))) => watched.end(status.code()),
            Poll::Ready(None) => watched.end(Code::Ok),
            Poll::Pending => {
                if let Some(status) = watched.cut(cx) {
                    watched.end(status.code());
                    return Poll::Ready(Some(trailers(&status)));
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.watched {
            Some(watched) if watched.ended => true,
            _ => self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        // A watched body can be cut short.
        if self.watched.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

/// The status that headers or trailers carry.
pub(super) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}
