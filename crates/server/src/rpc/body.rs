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

use super::{call_log::CallRecord, call_stats::CallMeter, status};
use crate::{deadline, net::DrainSignal, ops::Reason, trace::Span};

/// What polling a body gives.
type PolledFrame = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// Something that happens once.
pub(super) type Moment = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for the end of a grant, and says what a call with it ends with then.
pub(super) type GrantEnd = Pin<Box<dyn Future<Output = Status> + Send>>;

/// A response's body. Most pass through; see [`Watched`].
pub struct CallBody {
    inner: tonic::body::Body,
    watched: Option<Box<Watched>>,
    /// `None` once it has counted the end.
    meter: Option<CallMeter>,
}

/// Why the end of a body matters.
pub(super) struct Watched {
    /// The body ends with `DEADLINE_EXCEEDED` then.
    deadline: Option<Pin<Box<Sleep>>>,
    /// A stream that would go on for ever ends with `UNAVAILABLE` once this is raised and it has nothing to say.
    drain: Option<Moment>,
    /// The body ends with this status once the caller's right to have it has ended.
    grant_end: Option<GrantEnd>,
    /// The service says something last when that right has ended.
    has_last_words: bool,
    /// It has ended, and the service was asked for its last words.
    revoked: Option<Status>,
    /// Wants to know the status.
    record: Option<Box<CallRecord>>,
    ended: bool,
}

impl Watched {
    pub(super) fn new(
        deadline: Option<tokio::time::Instant>,
        drain: Option<DrainSignal>,
        grant_end: Option<GrantEnd>,
        has_last_words: bool,
        record: Option<Box<CallRecord>>,
    ) -> Option<Box<Self>> {
        (deadline.is_some() || drain.is_some() || grant_end.is_some() || record.is_some()).then(|| {
            let deadline = deadline.map(|at| Box::pin(sleep_until(at)));
            let drain = drain.map(|signal| -> Moment { Box::pin(async move { signal.draining().await }) });
            Box::new(Self { deadline, drain, grant_end, has_last_words, revoked: None, record, ended: false })
        })
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
    }

    fn is_drained(&mut self, cx: &mut Context<'_>) -> bool {
        self.drain.as_mut().is_some_and(|drain| drain.as_mut().poll(cx).is_ready())
    }

    /// The status to end with, once the grant has ended.
    fn take_grant_end(&mut self, cx: &mut Context<'_>) -> Option<Status> {
        match self.grant_end.as_mut()?.as_mut().poll(cx) {
            Poll::Ready(status) => Some(status),
            Poll::Pending => None,
        }
    }

    /// Ends the body with this status though it has more to say.
    fn cut(&mut self, status: &Status) -> PolledFrame {
        self.end(status.code());
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
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
    pub(super) fn new(inner: tonic::body::Body, watched: Option<Box<Watched>>, meter: Option<CallMeter>) -> Self {
        Self { inner, watched, meter }
    }
}

impl CallBody {
    /// What comes next, cut short if there is a reason to.
    fn next_frame(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        let this = self;
        let Some(watched) = &mut this.watched else { return completed(Pin::new(&mut this.inner).poll_frame(cx)) };
        // What a stream does between its messages is a part of the call.
        let _entered = watched.record.as_ref().and_then(|record| record.span()).map(Span::enter);
        if watched.ended {
            return Poll::Ready(None);
        }
        let _by = deadline::enter(watched.deadline.as_ref().map(|deadline| deadline.deadline()));
        // Looked at first: a stream that always has more to say must end in time too.
        if watched.is_late(cx) {
            return watched.cut(&status::of_reason(Reason::DeadlineExceeded, "the deadline has passed"));
        }
        if let Some(status) = watched.revoked.take() {
            return watched.cut(&status);
        }
        if let Some(status) = watched.take_grant_end(cx) {
            if !watched.has_last_words {
                return watched.cut(&status);
            }
            // One frame at most: a stream that always has more to say must end too.
            return match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    watched.revoked = Some(status);
                    Poll::Ready(Some(Ok(frame)))
                }
                _ => watched.cut(&status),
            };
        }
        let frame = completed(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    watched.end(code_in(trailers).unwrap_or(Code::Unknown));
                }
            }
            Poll::Ready(Some(Err(status))) => watched.end(status.code()),
            Poll::Ready(None) => watched.end(Code::Ok),
            // What is ready is said first, such as that the service is going.
            Poll::Pending if watched.is_drained(cx) => {
                return watched.cut(&status::of_reason(Reason::ShuttingDown, "the server is stopping"));
            }
            Poll::Pending => {}
        }
        frame
    }

    /// Counts the end of the call if this frame is it.
    fn count(&mut self, frame: &PolledFrame) {
        let code = match frame {
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref() {
                Some(trailers) => code_in(trailers).unwrap_or(Code::Unknown),
                None => return,
            },
            Poll::Ready(Some(Err(status))) => status.code(),
            Poll::Ready(None) => Code::Ok,
            Poll::Pending => return,
        };
        if let Some(mut meter) = self.meter.take() {
            meter.end(code);
        }
    }
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame {
        let frame = self.next_frame(cx);
        self.count(&frame);
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

/// Trailers with a reason in them if they tell of an error.
fn completed(mut frame: PolledFrame) -> PolledFrame {
    if let Poll::Ready(Some(Ok(frame))) = &mut frame
        && let Some(trailers) = frame.trailers_mut()
        && trailers.get(Status::GRPC_STATUS).is_some_and(|status| status != "0")
    {
        status::complete(trailers);
    }
    frame
}

/// The status that headers or trailers carry.
pub(super) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::{future::ready, task::Waker};

    use http_body_util::Full;

    use super::*;

    #[test]
    fn only_a_stream_with_last_words_says_more_once_its_caller_has_lost_the_right_to_it() {
        for (has_last_words, more) in [(false, 0), (true, 1)] {
            let inner = tonic::body::Body::new(Full::new(Bytes::from_static(b"secret")));
            let watched =
                Watched::new(None, None, Some(Box::pin(ready(status::credentials_invalid()))), has_last_words, None);
            let mut body = CallBody::new(inner, watched, None);
            let mut data = 0;
            let trailers = loop {
                match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Some(Ok(frame))) if frame.is_data() => data += 1,
                    Poll::Ready(Some(Ok(frame))) => break frame.into_trailers().unwrap(),
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!((data, code_in(&trailers)), (more, Some(Code::Unauthenticated)));
        }
    }
}
