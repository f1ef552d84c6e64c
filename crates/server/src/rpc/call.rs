//! A call under way: the wait for its response, and the response's way back.
//!
//! The futures here are written out. An async function keeps its arguments, its locals and what it waits for side by
//! side, and one that waits for another keeps that whole as well: a call had grown to 3 KiB, moved again and again on
//! its way to the runtime. Written out it is what it holds.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response, header::TRAILER};
use roster_api::access::Method as Rpc;
use tokio::time::{Instant, Timeout, timeout_at};
use tonic::{Code, Status};

use super::{
    body::{CallBody, GrantEnd, Watched, code_in},
    call_log::CallRecord,
    call_stats::CallMeter,
    pipeline::Pipeline,
    request_id,
    services::ResponseFuture,
    status,
};
use crate::{
    auth::Caller,
    deadline,
    net::DrainSignal,
    ops::{Reason, RequestId},
    overload::Place,
    trace::Span,
};

/// The stream that says that its caller's session has ended; see `ops::presence`.
const CONNECT: &str = "/notification.v1.NotificationService/Connect";

/// What can come after the body of a response.
const TRAILERS: &str =
    "grpc-status, grpc-message, grpc-status-details-bin, next-page-token, skipped-count, skipped-row";

/// How a request is answered.
#[expect(clippy::large_enum_variant, reason = "the large one is the common one, and a box would cost it an allocation")]
pub enum Answer {
    /// A call whose caller is known.
    Call(Call),
    /// All else.
    Later(Pin<Box<dyn Future<Output = Response<CallBody>> + Send>>),
}

impl Answer {
    /// One that is there already.
    pub(super) fn ready(response: Response<CallBody>) -> Self {
        Self::Later(Box::pin(std::future::ready(response)))
    }
}

impl Future for Answer {
    type Output = Response<CallBody>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Call(call) => {
                call.gets_on();
                Pin::new(call).poll(cx)
            }
            Self::Later(response) => response.as_mut().poll(cx),
        }
    }
}

/// What is known of a call before it is known who calls.
pub(super) struct Start {
    /// From where; `None` for this machine's operator.
    pub(super) remote: Option<IpAddr>,
    pub(super) request_id: RequestId,
    /// `None` if there is no such method.
    pub(super) method: Option<&'static Rpc>,
    pub(super) meter: CallMeter,
    pub(super) record: Option<Box<CallRecord>>,
}

impl Start {
    /// The call's span, if it is traced.
    pub(super) fn span(&self) -> Option<Span> {
        self.record.as_ref().and_then(|record| record.span()).cloned()
    }
}

/// A call under way. Gives its response once, and nothing after that.
pub struct Call {
    response: Awaited,
    /// Until its first step; `None` for a call that goes no further.
    place: Option<Place>,
    /// Nothing has asked for the response yet.
    is_new: bool,
    /// `None` once the response was given.
    way_back: Option<WayBack>,
}

/// What a response passes before it goes out.
pub(super) struct WayBack {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) start: Start,
    pub(super) caller: Caller,
    pub(super) drain: Option<DrainSignal>,
    /// When the caller's right to a stream ends.
    pub(super) grant_end: Option<GrantEnd>,
    pub(super) deadline: Option<Instant>,
    /// Some proxies speak no HTTP/2 to what is behind them.
    pub(super) over_http1: bool,
}

/// The response to come.
enum Awaited {
    /// From the service.
    Service(ResponseFuture),
    /// From the service, by the deadline.
    InTime(Pin<Box<Timeout<ResponseFuture>>>),
    /// From nobody; `None` once it was given.
    Refused(Option<Box<Response<tonic::body::Body>>>),
}

impl Awaited {
    fn new(deadline: Option<Instant>, response: ResponseFuture) -> Self {
        match deadline {
            None => Self::Service(response),
            Some(deadline) => Self::InTime(Box::pin(timeout_at(deadline, response))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<tonic::body::Body>> {
        match self {
            Self::Service(response) => Pin::new(response).poll(cx),
            Self::InTime(response) => {
                response.as_mut().poll(cx).map(|in_time| in_time.unwrap_or_else(|_| late().into_http()))
            }
            Self::Refused(refusal) => refusal.take().map_or(Poll::Pending, |response| Poll::Ready(*response)),
        }
    }
}

/// What a call ends with whose deadline has passed.
pub(super) fn late() -> Status {
    status::of_reason(Reason::DeadlineExceeded, "the deadline has passed")
}

impl Call {
    /// One that the service answers.
    pub(super) fn served(response: ResponseFuture, place: Place, way_back: WayBack) -> Self {
        let response = Awaited::new(way_back.deadline, response);
        Self { response, place: Some(place), is_new: true, way_back: Some(way_back) }
    }

    /// One that goes no further.
    pub(super) fn refused(refusal: Box<Response<tonic::body::Body>>, way_back: WayBack) -> Self {
        let response = Awaited::Refused(Some(refusal));
        Self { response, place: None, is_new: true, way_back: Some(way_back) }
    }

    /// Tells the worker how long the call has waited for it: whoever was looked up first has waited for other things.
    fn gets_on(&self) {
        if self.is_new
            && let Some(WayBack { pipeline, start, .. }) = &self.way_back
        {
            pipeline.gets_on(start.meter.started());
        }
    }

    /// The response, or how a call ends whose caller's grant has, if that comes before: the service may answer a stream of
    /// requests only when that has ended.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Response<tonic::body::Body>> {
        let grant_end = self.way_back.as_mut().and_then(|way_back| way_back.grant_end.as_mut());
        if let Some(end) = grant_end
            && let Poll::Ready(status) = end.as_mut().poll(cx)
        {
            return Poll::Ready(status.into_http());
        }
        let _entered = deadline::enter(self.way_back.as_ref().and_then(|way_back| way_back.deadline));
        self.response.poll(cx)
    }
}

impl Future for Call {
    type Output = Response<CallBody>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        (self.is_new, self.place) = (false, None);
        let response = ready!(self.poll_response(cx));
        self.way_back.take().map_or(Poll::Pending, |way_back| Poll::Ready(way_back.ready(response)))
    }
}

impl WayBack {
    /// Readies the response.
    fn ready(mut self, mut response: Response<tonic::body::Body>) -> Response<CallBody> {
        // A response of headers alone is over already.
        let is_over = code_in(response.headers()).is_some();
        if is_over {
            self.end(&mut response);
        }
        let Self { start, drain, grant_end, deadline, over_http1, .. } = self;
        request_id::echo(&start.request_id, response.headers_mut());
        if over_http1 && !is_over {
            // HTTP/1.1 sends no trailer that was not announced.
            response.headers_mut().insert(TRAILER, HeaderValue::from_static(TRAILERS));
        }
        let has_last_words = start.method.is_some_and(|method| method.path == CONNECT);
        let watched =
            if is_over { None } else { Watched::new(deadline, drain, grant_end, has_last_words, start.record) };
        let meter = (!is_over).then_some(start.meter);
        response.map(|body| CallBody::new(body, watched, meter))
    }

    /// Counts and logs a call that is over.
    fn end(&mut self, response: &mut Response<tonic::body::Body>) {
        status::complete(response.headers_mut());
        let code = code_in(response.headers()).unwrap_or(Code::Unknown);
        self.start.meter.end(code);
        if let Some(record) = &mut self.start.record {
            record.finish(code);
        }
        if matches!(code, Code::ResourceExhausted | Code::Unavailable)
            && let Some(reason) = status::reason_in(response.headers())
        {
            self.pipeline.stats().refused(reason);
        }
        // Here, where all of them pass, so that no method can forget it.
        if matches!(code, Code::PermissionDenied | Code::Unauthenticated)
            && let Some(reason) = status::reason_in(response.headers())
            // A sign-in has an event of its own, which knows whose account it was.
            && reason != Reason::SignInFailed
        {
            self.pipeline.note_refusal(&self.start, &self.caller, reason);
        }
    }
}
