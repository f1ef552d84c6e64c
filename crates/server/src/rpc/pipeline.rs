//! The way of every call, top to bottom.
//!
//! Plain functions in one order rather than a stack of layers: the order can be read here, and
//! nothing is boxed or wrapped for a call that does not need it.

use std::sync::Arc;

use http::{
    HeaderValue, Method, Request, Response, Version,
    header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, USER_AGENT},
};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use roster_api::access::{AccessRule, Method as Rpc, RateClass};
use tokio::time::Instant;
use tonic::{Status, metadata::MetadataValue};

use super::{
    access,
    admission::Admission,
    body::{CallBody, GrantEnd},
    call::{Answer, Call, Start, WayBack, late},
    call_log::CallRecord,
    call_stats::{CallMeter, CallStats},
    deadline,
    grpc_web::{self, GrpcWeb},
    headers,
    idempotency::{self, CallKey},
    leftover,
    own::Own,
    request_id,
    services::{ENCODING, Services},
    staleness, status,
    tokenless::Tokenless,
};
use crate::{
    auth::{AuthError, Caller, Credential, KnownCallers, Recalled, Shown},
    limits::{Exceeded, Limits, MessageLimits},
    model::{Permission, Staleness, Violations},
    net::{DrainSignal, Peer},
    ops::{Called, Ctx, Error, Reason, RefusedCall, RequestId, UserAgent},
    store::{Live, StoreError},
    trace::{Traced as _, Tracer},
};

/// Where a caller is told what it could have used.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// What every service reads.
const ENCODINGS: &str = "identity,gzip,zstd";

/// Takes requests from connections to services.
pub struct Pipeline {
    services: Services,
    callers: KnownCallers,
    tokenless: Tokenless,
    /// Those of all workers.
    limits: Arc<Limits>,
    admission: Admission,
    stats: Own<CallStats>,
    /// `None` if nothing is traced.
    tracer: Option<Tracer>,
    grpc_web: GrpcWeb,
    drain: DrainSignal,
}

impl Pipeline {
    /// `tokenless` says who calls without a token.
    pub fn new(
        services: Services,
        tokenless: Tokenless,
        (limits, admission): (Arc<Limits>, Admission),
        grpc_web: GrpcWeb,
        drain: DrainSignal,
    ) -> Self {
        let callers = KnownCallers::new(Arc::clone(services.ops().authenticator()));
        let stats = Own::new(Arc::default());
        Self { services, callers, tokenless, limits, admission, stats, tracer: None, grpc_web, drain }
    }

    /// The same with calls that are traced.
    #[must_use]
    pub fn with_tracer(self, tracer: Option<Tracer>) -> Self {
        Self { tracer, ..self }
    }

    /// The same pipeline for one more worker; see `Services::for_worker`.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self {
            services: self.services.for_worker(),
            callers: self.callers.for_worker(),
            tokenless: self.tokenless.clone(),
            limits: Arc::clone(&self.limits),
            admission: self.admission.for_worker(),
            stats: self.stats.for_worker(),
            tracer: self.tracer.clone(),
            grpc_web: self.grpc_web.clone(),
            drain: self.drain.clone(),
        }
    }

    /// The calls in numbers, those of all workers.
    pub fn stats(&self) -> Arc<CallStats> {
        Arc::clone(&self.stats)
    }

    /// Tells the worker's gate how long a call has waited; see [`Admission::gets_on`].
    pub(super) fn gets_on(&self, came: std::time::Instant) {
        self.admission.gets_on(came);
    }

    /// The services behind the pipeline.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Answers one HTTP request, whatever it is.
    ///
    /// What can be done at once is done before the future is made: a future that held the request
    /// would be moved about with it on every call.
    pub fn handle(self: &Arc<Self>, peer: &Peer, request: Request<Incoming>) -> Answer {
        let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let is_post = request.method() == Method::POST;
        if !self.grpc_web.allows(request.headers().get(ORIGIN)) {
            // Only browsers send an origin, and a page that has rebound its own name to this server
            // asks for no preflight: whatever it sends is refused here.
            leftover::take_in(request.into_body());
            Answer::ready(grpc_web::forbidden_origin().map(unwatched))
        } else if is_post && kind.starts_with(b"application/grpc-web") {
            Answer::Later(Box::pin(Arc::clone(self).web(peer.clone(), request)))
        } else if is_post && kind.starts_with(b"application/grpc") {
            self.call(peer, request)
        } else {
            let response = not_grpc(&request);
            leftover::take_in(request.into_body());
            Answer::ready(response)
        }
    }

    /// gRPC-Web is translated to gRPC on the way in and back on the way out.
    async fn web(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Response<CallBody> {
        let origin = request.headers().get(ORIGIN).cloned();
        let response = grpc_web::translate(request, move |request| self.call(&peer, request)).await;
        GrpcWeb::expose(origin, response).map(unwatched)
    }

    /// Starts one gRPC call: at once if memory knows who calls, and after a look at the credentials otherwise.
    fn call<B>(self: &Arc<Self>, peer: &Peer, mut request: Request<B>) -> Answer
    where
        B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let request_id = request_id::take_or_make(request.headers());
        let path = request.uri().path();
        let method = access::method(path);
        let record = CallRecord::start((path, method), request.headers(), &request_id, peer, self.tracer.as_ref());
        let meter = CallMeter::start(&self.stats, method);
        let start = Start { remote: peer.addr().map(|addr| addr.ip()), request_id, method, meter, record };
        if headers::are_too_large(&request) {
            let too_large = || status::of_reason(Reason::HeadersTooLarge, headers::TOO_LARGE);
            let refusal = self.take_from_address(&start).err().unwrap_or_else(too_large);
            return Answer::Call(refused(self, request, start, Caller::Anonymous, refusal.into_http()));
        }
        let tokenless = self.tokenless.caller_of(peer);
        if method.is_none() {
            return Answer::Call(self.admit(start, tokenless, request));
        }
        let recalled = self.callers.recall(Shown::in_headers(request.headers()), start.remote);
        if !matches!(recalled, Recalled::Nobody) {
            // Nothing behind this needs it, and what is not there cannot leak.
            request.headers_mut().remove(AUTHORIZATION);
        }
        match recalled {
            Recalled::Nobody => Answer::Call(self.admit(start, tokenless, request)),
            Recalled::Caller(caller) => Answer::Call(self.admit(start, caller, request)),
            Recalled::Invalid => {
                let invalid = || status::of_error(&Error::from(AuthError::Invalid), start.request_id.as_str());
                let refusal = self.take_from_address(&start).err().unwrap_or_else(invalid);
                Answer::Call(refused(self, request, start, Caller::Anonymous, refusal.into_http()))
            }
            Recalled::Unknown(credential) => {
                Answer::Later(Box::pin(Arc::clone(self).call_unknown(start, credential, request)))
            }
        }
    }

    /// A call with a credential that is new, or whose grant has changed.
    async fn call_unknown<B>(
        self: Arc<Self>,
        start: Start,
        credential: Credential,
        request: Request<B>,
    ) -> Response<CallBody>
    where
        B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        // Nobody is known to call until the credential has been verified, which costs something.
        let caller = match self.take_from_address(&start) {
            Err(refusal) => Err(refusal),
            Ok(()) => self
                .callers
                .verify(credential, start.remote)
                .in_span(start.span())
                .await
                .map_err(|error| status::of_error(&Error::from(error), start.request_id.as_str())),
        };
        let call = match caller {
            Ok(caller) => self.admit(start, caller, request),
            Err(refusal) => refused(&self, request, start, Caller::Anonymous, refusal.into_http()),
        };
        call.await
    }

    /// Lets the caller through to the service, or not.
    fn admit<B>(self: &Arc<Self>, start: Start, caller: Caller, request: Request<B>) -> Call
    where
        B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let mut start = start;
        if let Some(record) = &mut start.record {
            record.set_caller(&caller);
        }
        let mut request = request;
        if let Some(span) = start.span() {
            // For who calls the service: most calls have none, and none makes room for one.
            request.extensions_mut().insert(span);
        }
        let admitted = self.take_from_caller(&start, &caller).and_then(|()| check(&request, &start, &caller));
        let Admitted { method, deadline, key, staleness } = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return refused(self, request, start, caller, refusal.into_http()),
        };
        let place = match self.admission.admit(method, self.services.ops(), deadline, &start.request_id) {
            Ok(place) => place,
            Err(refusal) => return refused(self, request, start, caller, refusal),
        };
        let path = request.uri().path();
        let drain = access::is_long_lived(path).then(|| self.drain.clone());
        let grant_end = match &caller {
            Caller::Granted(live) if access::is_stream(path) => {
                Some(self.end_of(Arc::clone(live), start.request_id.clone()))
            }
            _ => None,
        };
        let over_http1 = request.version() < Version::HTTP_2;
        // Only a sign-in wants to know, and even a shared value costs every other call two atomic operations.
        let signs_in = start.method.is_some_and(|method| method.rate_class == RateClass::SignIn);
        let user_agent = UserAgent(signs_in.then(|| request.headers().get(USER_AGENT).cloned()).flatten());
        let ctx = Ctx {
            caller: caller.clone(),
            request_id: start.request_id.clone(),
            remote: start.remote,
            user_agent,
            idempotency: None,
            staleness: staleness.unwrap_or(self.services.ops().staleness_default()),
        };
        if let Some(method) = start.method.filter(|method| method.rate_class == RateClass::Write)
            && access::is_stream(method.path)
        {
            let (limits, caller) = (Arc::clone(&self.limits), caller.clone());
            let limits = MessageLimits { limits, class: method.rate_class, caller, remote: start.remote };
            request.extensions_mut().insert(limits);
        }
        let response = self.services.call(ctx, key, request);
        let pipeline = Arc::clone(self);
        Call::served(response, place, WayBack { pipeline, start, caller, drain, grant_end, deadline, over_http1 })
    }

    /// What a stream with this grant ends with, when the grant ends: `UNAUTHENTICATED`, or `UNAVAILABLE` if nobody can say
    /// whether it still stands.
    fn end_of(&self, live: Arc<Live>, request_id: RequestId) -> GrantEnd {
        let ended = self.callers.ended(Arc::clone(&live));
        Box::pin(async move {
            ended.await;
            if !live.is_in_doubt() {
                return status::credentials_invalid();
            }
            let source = StoreError::Unavailable("it is not known what other servers have ended".into());
            status::of_error(&source.into(), request_id.as_str())
        })
    }

    /// Takes a call of nobody who is known from its address.
    fn take_from_address(&self, start: &Start) -> Result<(), Status> {
        let Some(method) = start.method else { return Ok(()) };
        self.take_class_from_address(method.rate_class, start)
    }

    fn take_class_from_address(&self, class: RateClass, start: &Start) -> Result<(), Status> {
        let Some(address) = start.remote else { return Ok(()) };
        let taken = self.limits.take_from_address(class, address);
        taken.map_err(|exceeded| self.limited(start, &Caller::Anonymous, class, exceeded))
    }

    /// Takes any other from its caller.
    fn take_from_caller(&self, start: &Start, caller: &Caller) -> Result<(), Status> {
        if matches!(caller, Caller::Anonymous | Caller::Developer) {
            return self.take_from_address(start);
        }
        let Some(method) = start.method else { return Ok(()) };
        let class = class_for(method, caller);
        // Or every further account would sign in, sign up and send mails from a bucket of its own.
        if method.access == AccessRule::Public && matches!(caller, Caller::Granted(_)) {
            self.take_class_from_address(class, start)?;
        }
        let taken = self.limits.take_from_caller(class, caller);
        taken.map_err(|exceeded| self.limited(start, caller, class, exceeded))
    }

    fn limited(&self, start: &Start, caller: &Caller, class: RateClass, exceeded: Exceeded) -> Status {
        self.stats.limited(class);
        let error = Error::RateLimited { retry_after: exceeded.retry_after };
        if exceeded.is_news {
            self.note_refusal(start, caller, error.reason());
        }
        status::of_error(&error, start.request_id.as_str())
    }

    /// Has a refusal of a call written to the audit log.
    pub(super) fn note_refusal(&self, start: &Start, caller: &Caller, reason: Reason) {
        let ops = self.services.ops();
        let Some(method) = start.method else { return ops.lose_refusal() };
        let refused = RefusedCall {
            called: Called::Method(method.path),
            actor: caller.actor(),
            request_id: start.request_id.clone(),
            remote: start.remote,
            reason,
        };
        self.limits.note_refusal(ops, refused);
    }
}

/// What a call counts as. Who may create users at any time does not sign up: a service that creates them for others
/// writes.
fn class_for(method: &Rpc, caller: &Caller) -> RateClass {
    match method.rate_class {
        RateClass::SignUp if caller.check(Permission::UsersCreate).is_ok() => RateClass::Write,
        class => class,
    }
}

/// A call that goes no further.
fn refused<B>(
    pipeline: &Arc<Pipeline>,
    request: Request<B>,
    start: Start,
    caller: Caller,
    refusal: impl Into<Box<Response<tonic::body::Body>>>,
) -> Call
where
    B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
    B::Error: Send,
{
    let pipeline = Arc::clone(pipeline);
    let over_http1 = request.version() < Version::HTTP_2;
    leftover::take_in(request.into_body());
    let (drain, grant_end, deadline) = (None, None, None);
    Call::refused(refusal.into(), WayBack { pipeline, start, caller, drain, grant_end, deadline, over_http1 })
}

/// A call that may be answered.
struct Admitted {
    method: &'static Rpc,
    deadline: Option<Instant>,
    /// Of a call that may change something.
    key: Option<CallKey>,
    /// Of one that only reads.
    staleness: Option<Staleness>,
}

/// Decides before any byte of the message is read.
fn check<B>(request: &Request<B>, start: &Start, caller: &Caller) -> Result<Admitted, Status> {
    let method = start.method.ok_or_else(|| status::of_reason(Reason::MethodUnknown, "no such method"))?;
    if request.uri().query().is_some() {
        return Err(status::of_reason(Reason::PathInvalid, "a method's path has no query"));
    }
    let refused = |error: Error| status::of_error(&error, start.request_id.as_str());
    caller.check_rule(method.access).map_err(|refusal| refused(refusal.into()))?;
    if let Some(encoding) = request.headers().get(ENCODING)
        && !ENCODINGS.split(',').any(|known| known == encoding)
    {
        let mut refusal = status::of_reason(Reason::EncodingUnsupported, format!("compress with one of {ENCODINGS}"));
        refusal.metadata_mut().insert(ACCEPT_ENCODING, MetadataValue::from_static(ENCODINGS));
        return Err(refusal);
    }
    let deadline = deadline::parse(request.headers()).map_err(|came| {
        let mut violations = Violations::new();
        violations.add("grpc-timeout", came);
        refused(violations.into())
    })?;
    let invalid = |violations: Violations| refused(violations.into());
    let (key, staleness) = match method.rate_class {
        RateClass::Read => (None, staleness::parse(request.headers()).map_err(invalid)?),
        _ => (idempotency::parse(request.headers(), method.path).map_err(invalid)?, None),
    };
    // Nobody waits any more, and what is not begun changes nothing.
    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        return Err(late());
    }
    Ok(Admitted { method, deadline, key, staleness })
}

fn not_grpc(request: &Request<Incoming>) -> Response<CallBody> {
    let response = if grpc_web::is_preflight(request) { GrpcWeb::preflight(request) } else { grpc_web::not_grpc() };
    response.map(unwatched)
}

fn unwatched(body: tonic::body::Body) -> CallBody {
    CallBody::new(body, None, None)
}
