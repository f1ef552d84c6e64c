//! The way of every call, top to bottom.
//!
//! Plain functions in one order rather than a stack of layers: the order can be read here, and
//! nothing is boxed or wrapped for a call that does not need it.

use std::{net::IpAddr, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Version,
    header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, USER_AGENT},
};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use roster_api::access::{AccessRule, Method as Rpc, RateClass};
use tokio::time::{Instant, timeout_at};
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
    services::{ENCODING, ResponseFuture, Services},
    staleness, status,
    tokenless::Tokenless,
};
use crate::{
    auth::{AuthError, Caller, Credential, Known, KnownCallers, Recalled, Shown},
    limits::{Exceeded, Limits, MessageLimits, Taken},
    model::{Permission, Staleness, Timestamp, Violations},
    net::{DrainSignal, Peer},
    ops::{Called, Ctx, Error, Reason, RefusedCall, RequestId, UserAgent},
    overload::Place,
    store::{Live, StoreError},
    trace::{Traced as _, Tracer},
};

/// Where a caller is told what it could have used.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// What every service reads.
const ENCODINGS: &str = "identity,gzip,zstd";

/// Which call it is, and from where.
type Who<'a> = (&'static Rpc, &'a RequestId, Option<IpAddr>);

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
            return Answer::Call(self.admit(start, tokenless.into(), request));
        }
        let recalled = self.callers.recall(Shown::in_headers(request.headers()), start.remote);
        if !matches!(recalled, Recalled::Nobody) {
            // Nothing behind this needs it, and what is not there cannot leak.
            request.headers_mut().remove(AUTHORIZATION);
        }
        match recalled {
            Recalled::Nobody => Answer::Call(self.admit(start, tokenless.into(), request)),
            Recalled::Caller(known) => Answer::Call(self.admit(start, known, request)),
            Recalled::Invalid => {
                let invalid = || status::of_error(&Error::from(AuthError::Invalid), start.request_id.as_str());
                let refusal = self.take_from_address(&start).err().unwrap_or_else(invalid);
                Answer::Call(refused(self, request, start, Caller::Anonymous, refusal.into_http()))
            }
            Recalled::Unknown(credential) => match self.let_in_unknown(&start, request.headers()) {
                Ok(let_in) => {
                    Answer::Later(Box::pin(Arc::clone(self).call_unknown(start, let_in, credential, request)))
                }
                Err(refusal) => Answer::Call(refused(self, request, start, Caller::Anonymous, refusal)),
            },
        }
    }

    /// Lets in a call of which it is yet to be found out who makes it, until when, or not: it waits for the worker like all
    /// others, and finding out costs something.
    fn let_in_unknown(
        &self,
        start: &Start,
        headers: &HeaderMap,
    ) -> Result<(Place, Option<Instant>), Box<Response<tonic::body::Body>>> {
        // One without a method was turned away before.
        let Some(method) = start.method else { return Err(Box::new(unknown_method().into_http())) };
        let in_time = || {
            // Whoever it is, what is shared with other servers is taken from when that is known.
            let _ = self.take_class_from_address(method, class_of_unknown(method), start)?;
            let deadline = deadline_of(headers, start)?;
            still_waited_for(deadline).map(|()| deadline)
        };
        let deadline = in_time().map_err(|refusal| Box::new(refusal.into_http()))?;
        let place = self.admission.admit(method, self.services.ops(), deadline, &start.request_id)?;
        Ok((place, deadline))
    }

    /// A call with a credential that is new, or whose grant has changed.
    async fn call_unknown<B>(
        self: Arc<Self>,
        start: Start,
        (place, deadline): (Place, Option<Instant>),
        credential: Credential,
        request: Request<B>,
    ) -> Response<CallBody>
    where
        B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        self.gets_on(start.meter.started());
        drop(place);
        let verified = self.callers.verify(credential, start.remote).in_span(start.span());
        let verified = match deadline {
            None => Some(verified.await),
            Some(deadline) => timeout_at(deadline, verified).await.ok(),
        };
        let refusal = match verified {
            Some(Ok(known)) => return self.admit(start, known, request).await,
            Some(Err(error)) => status::of_error(&Error::from(error), start.request_id.as_str()),
            None => late(),
        };
        refused(&self, request, start, Caller::Anonymous, refusal.into_http()).await
    }

    /// Lets the caller through to the service, or not.
    fn admit<B>(self: &Arc<Self>, start: Start, known: Known, request: Request<B>) -> Call
    where
        B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let Known { caller, until } = known;
        let mut start = start;
        if let Some(record) = &mut start.record {
            record.set_caller(&caller);
        }
        let mut request = request;
        if let Some(span) = start.span() {
            // For who calls the service: most calls have none, and none makes room for one.
            request.extensions_mut().insert(span);
        }
        let admitted = self.take_from_caller(&start, &caller);
        let admitted = admitted.and_then(|taken| Ok((check(&request, &start, &caller)?, taken)));
        let (Admitted { method, deadline, key, staleness }, taken) = match admitted {
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
                let until = until.filter(|_| access::ends_with_token(path));
                Some(self.end_of(Arc::clone(live), until, start.request_id.clone()))
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
        let pipeline = Arc::clone(self);
        let response = if taken.is_confirmed() {
            self.services.call(ctx, key, request)
        } else {
            Arc::clone(self).call_when_confirmed(taken, &start, ctx, key, request)
        };
        Call::served(response, place, WayBack { pipeline, start, caller, drain, grant_end, deadline, over_http1 })
    }

    /// A call that waits until other servers' takings are known.
    fn call_when_confirmed<B>(
        self: Arc<Self>,
        taken: Taken,
        start: &Start,
        ctx: Ctx,
        key: Option<CallKey>,
        request: Request<B>,
    ) -> ResponseFuture
    where
        B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let Some(method) = start.method else { return self.services.call(ctx, key, request) };
        ResponseFuture::of(async move {
            match self.limits.confirm(taken).await {
                Ok(()) => self.services.call(ctx, key, request).await,
                Err(exceeded) => {
                    leftover::take_in(request.into_body());
                    let who = (method, &ctx.request_id, ctx.remote);
                    self.limited(who, &ctx.caller, class_for(method, &ctx.caller), exceeded).into_http()
                }
            }
        })
    }

    /// What a stream with this grant ends with, when the grant or this time comes to its end: `UNAUTHENTICATED`, or
    /// `UNAVAILABLE` if nobody can say whether the grant still stands.
    fn end_of(&self, live: Arc<Live>, until: Option<Timestamp>, request_id: RequestId) -> GrantEnd {
        let ended = self.callers.ended(Arc::clone(&live), until);
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
    fn take_from_address(&self, start: &Start) -> Result<Taken, Status> {
        let Some(method) = start.method else { return Ok(Taken::default()) };
        self.take_class_from_address(method, method.rate_class, start)
    }

    fn take_class_from_address(&self, method: &'static Rpc, class: RateClass, start: &Start) -> Result<Taken, Status> {
        let Some(address) = start.remote else { return Ok(Taken::default()) };
        let taken = self.limits.take_from_address(class, address);
        let who = (method, &start.request_id, start.remote);
        taken.map_err(|exceeded| self.limited(who, &Caller::Anonymous, class, exceeded))
    }

    /// Takes any other from its caller.
    fn take_from_caller(&self, start: &Start, caller: &Caller) -> Result<Taken, Status> {
        if matches!(caller, Caller::Anonymous | Caller::Developer) {
            return self.take_from_address(start);
        }
        let Some(method) = start.method else { return Ok(Taken::default()) };
        let class = class_for(method, caller);
        // Or every further account would sign in, sign up and send mails from a bucket of its own.
        let of_address = if method.access == AccessRule::Public && matches!(caller, Caller::Granted(_)) {
            self.take_class_from_address(method, class, start)?
        } else {
            Taken::default()
        };
        let taken = self.limits.take_from_caller(class, caller).map_err(|exceeded| {
            let who = (method, &start.request_id, start.remote);
            self.limited(who, caller, class, exceeded)
        });
        taken.map(|of_caller| of_address.and(of_caller))
    }

    fn limited(&self, who: Who<'_>, caller: &Caller, class: RateClass, exceeded: Exceeded) -> Status {
        self.stats.limited(class);
        let error = Error::RateLimited { retry_after: exceeded.retry_after };
        if exceeded.is_news {
            self.note_refusal_of(who, caller, error.reason());
        }
        status::of_error(&error, who.1.as_str())
    }

    /// Has a refusal of a call written to the audit log.
    pub(super) fn note_refusal(&self, start: &Start, caller: &Caller, reason: Reason) {
        match start.method {
            Some(method) => self.note_refusal_of((method, &start.request_id, start.remote), caller, reason),
            None => self.services.ops().lose_refusal(),
        }
    }

    fn note_refusal_of(&self, (method, request_id, remote): Who<'_>, caller: &Caller, reason: Reason) {
        let refused = RefusedCall {
            called: Called::Method(method.path),
            actor: caller.actor(),
            request_id: request_id.clone(),
            remote,
            reason,
        };
        self.limits.note_refusal(self.services.ops(), refused);
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

/// What a call counts as while it is yet to be found out who makes it. Nothing rare is done before that, so nothing of what
/// there is little of is taken: else a service that creates users would use up the sign-ups of its address whenever its
/// grant has to be read anew, as when the database was away.
fn class_of_unknown(method: &Rpc) -> RateClass {
    match method.rate_class {
        RateClass::SignIn | RateClass::SignUp | RateClass::Mail => RateClass::Write,
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
    let method = start.method.ok_or_else(unknown_method)?;
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
    let deadline = deadline_of(request.headers(), start)?;
    let invalid = |violations: Violations| refused(violations.into());
    let (key, staleness) = match method.rate_class {
        RateClass::Read => (None, staleness::parse(request.headers()).map_err(invalid)?),
        _ => (idempotency::parse(request.headers(), method.path).map_err(invalid)?, None),
    };
    still_waited_for(deadline)?;
    Ok(Admitted { method, deadline, key, staleness })
}

fn unknown_method() -> Status {
    status::of_reason(Reason::MethodUnknown, "no such method")
}

/// When the caller gives up, if it ever does.
fn deadline_of(headers: &HeaderMap, start: &Start) -> Result<Option<Instant>, Status> {
    deadline::parse(headers, start.meter.started()).map_err(|came| {
        let mut violations = Violations::new();
        violations.add("grpc-timeout", came);
        status::of_error(&violations.into(), start.request_id.as_str())
    })
}

/// Refuses what nobody waits for any more: what is not begun changes nothing.
fn still_waited_for(deadline: Option<Instant>) -> Result<(), Status> {
    if deadline.is_some_and(|deadline| deadline <= Instant::now()) { Err(late()) } else { Ok(()) }
}

fn not_grpc(request: &Request<Incoming>) -> Response<CallBody> {
    let response = if grpc_web::is_preflight(request) { GrpcWeb::preflight(request) } else { grpc_web::not_grpc() };
    response.map(unwatched)
}

fn unwatched(body: tonic::body::Body) -> CallBody {
    CallBody::new(body, None, None)
}
