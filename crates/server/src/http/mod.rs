//! The HTTP port: whether the process lives and can serve, the keys that verify its tokens, and the pages that mailed
//! links lead to.

mod form;
mod jwks;
mod metrics;
mod page;
mod probes;
mod reset_password;
mod verify_email;
mod words;

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::USER_AGENT};
use http_body_util::Full;
use hyper::body::Incoming;
use roster_api::access::RateClass;

use crate::{
    auth::Caller,
    limits::Limits,
    mail::{RESET_PASSWORD, VERIFY_EMAIL},
    metrics::Page,
    model::Staleness,
    net::{self, DrainSwitch, Listeners, Net, NetOptions, Peer},
    ops::{Called, Ctx, Error, Ops, RefusedCall, RequestId, UserAgent},
};

/// What every handler answers.
type Answer = Response<Full<Bytes>>;

/// Puts the numbers of all parts on a page.
pub type Report = Arc<dyn Fn(&mut Page) + Send + Sync>;

/// What the handlers work with.
pub struct Port {
    /// The use cases.
    pub ops: Arc<Ops>,
    /// Those of the gRPC port.
    pub limits: Arc<Limits>,
    /// What `/metrics` has.
    pub report: Report,
}

/// Serves the port.
///
/// # Errors
/// When a thread cannot be started.
pub fn serve(listeners: Listeners, options: NetOptions, port: Port) -> io::Result<Net> {
    let port = Arc::new(port);
    let handler = move |peer: Arc<Peer>, request| {
        let port = Arc::clone(&port);
        async move { port.answer(&peer, request).await }
    };
    net::serve(listeners, options, DrainSwitch::new(), || handler.clone())
}

impl Port {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Answer {
        let ops = &self.ops;
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let posts = request.method() == Method::POST;
        match request.uri().path() {
            VERIFY_EMAIL if reads => verify_email::ask(ops, &request),
            RESET_PASSWORD if reads => reset_password::ask(ops, &request),
            VERIFY_EMAIL if posts => match self.admit(VERIFY_EMAIL, peer, &request).await {
                Ok(ctx) => verify_email::act(ops, &ctx, request).await,
                Err(refusal) => refusal,
            },
            RESET_PASSWORD if posts => match self.admit(RESET_PASSWORD, peer, &request).await {
                Ok(ctx) => reset_password::act(ops, &ctx, request).await,
                Err(refusal) => refusal,
            },
            _ if !reads => probes::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
            "/livez" => probes::live(request.uri()),
            "/readyz" => probes::ready(ops, request.uri()).await,
            jwks::PATH => jwks::keys(ops),
            metrics::PATH => metrics::page(&*self.report),
            _ => probes::text(StatusCode::NOT_FOUND, "here are /livez, /readyz, /metrics and /.well-known/jwks.json\n"),
        }
    }

    /// Takes what a page does from the bucket that the methods which do the same take from, before the form is read.
    async fn admit(&self, page: &'static str, peer: &Peer, request: &Request<Incoming>) -> Result<Ctx, Answer> {
        let ctx = ctx(peer, request);
        let Some(address) = ctx.remote else { return Ok(ctx) };
        let taken = match self.limits.take_from_address(RateClass::SignIn, address) {
            Ok(taken) => self.limits.confirm(taken).await,
            Err(exceeded) => Err(exceeded),
        };
        let Err(exceeded) = taken else { return Ok(ctx) };
        let error = Error::RateLimited { retry_after: exceeded.retry_after };
        if exceeded.is_news {
            let refused = RefusedCall {
                called: Called::Page(page),
                actor: ctx.caller.actor(),
                request_id: ctx.request_id,
                remote: ctx.remote,
                reason: error.reason(),
            };
            self.limits.note_refusal(&self.ops, refused);
        }
        Err(page::error(&error, page::words(request), self.ops.platform()))
    }
}

/// Whoever follows a link is nobody that we know: what they may do is in the token.
fn ctx(peer: &Peer, request: &Request<Incoming>) -> Ctx {
    Ctx {
        caller: Caller::Anonymous,
        request_id: RequestId::generate(),
        remote: peer.addr().map(|addr| addr.ip()),
        user_agent: UserAgent(request.headers().get(USER_AGENT).cloned()),
        idempotency: None,
        staleness: Staleness::NONE,
    }
}
