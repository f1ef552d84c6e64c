//! The HTTP port: whether the process lives and can serve, the keys that verify its tokens, and the pages that mailed
//! links lead to.

mod form;
mod jwks;
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

use crate::{
    auth::Caller,
    mail::{RESET_PASSWORD, VERIFY_EMAIL},
    net::{self, DrainSignal, DrainSwitch, Listeners, Net, NetOptions, Peer},
    ops::{Ctx, Ops, RequestId, UserAgent},
};

/// What every handler answers.
type Answer = Response<Full<Bytes>>;

/// Serves the port. `grpc` tells when the gRPC port has begun to drain.
///
/// # Errors
/// When a thread cannot be started.
pub fn serve(listeners: Listeners, options: NetOptions, ops: Arc<Ops>, grpc: DrainSignal) -> io::Result<Net> {
    let handler = move |peer: Arc<Peer>, request| {
        let (ops, grpc) = (Arc::clone(&ops), grpc.clone());
        async move { answer(&ops, &grpc, &peer, request).await }
    };
    net::serve(listeners, options, DrainSwitch::new(), || handler.clone())
}

async fn answer(ops: &Ops, grpc: &DrainSignal, peer: &Peer, request: Request<Incoming>) -> Answer {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let posts = request.method() == Method::POST;
    match request.uri().path() {
        VERIFY_EMAIL if reads => verify_email::ask(ops, &request),
        VERIFY_EMAIL if posts => verify_email::act(ops, &ctx(peer, &request), request).await,
        RESET_PASSWORD if reads => reset_password::ask(ops, &request),
        RESET_PASSWORD if posts => reset_password::act(ops, &ctx(peer, &request), request).await,
        _ if !reads => probes::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
        "/livez" => probes::live(),
        "/readyz" => probes::ready(ops, grpc).await,
        jwks::PATH => jwks::keys(ops),
        _ => probes::text(StatusCode::NOT_FOUND, "here are /livez, /readyz and /.well-known/jwks.json\n"),
    }
}

/// Whoever follows a link is nobody that we know: what they may do is in the token.
fn ctx(peer: &Peer, request: &Request<Incoming>) -> Ctx {
    Ctx {
        caller: Caller::Anonymous,
        request_id: RequestId::generate(),
        remote: peer.addr().map(|addr| addr.ip()),
        user_agent: UserAgent(request.headers().get(USER_AGENT).cloned()),
    }
}
