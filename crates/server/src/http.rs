//! The HTTP port: whether the process lives, whether it can serve, and the keys that verify its tokens.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::{
    net::{self, DrainSignal, DrainSwitch, Listeners, Net, NetOptions},
    ops::{HealthState, Ops},
};

/// Where others find the keys that verify access tokens.
const JWKS_PATH: &str = "/.well-known/jwks.json";
/// How long they may keep them. A key that they do not know makes them look again.
const JWKS_CACHE_CONTROL: &str = "public, max-age=300";

/// Serves `/livez`, `/readyz` and the public keys. `grpc` tells when the gRPC port has begun to drain.
///
/// # Errors
/// When a thread cannot be started.
pub fn serve(listeners: Listeners, options: NetOptions, ops: Arc<Ops>, grpc: DrainSignal) -> io::Result<Net> {
    let handler = move |_, request| {
        let (ops, grpc) = (Arc::clone(&ops), grpc.clone());
        async move { answer(&ops, &grpc, &request).await }
    };
    net::serve(listeners, options, DrainSwitch::new(), || handler.clone())
}

async fn answer(ops: &Ops, grpc: &DrainSignal, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" if grpc.is_draining() => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => match ops.health_check().await.state {
            HealthState::Healthy => text(StatusCode::OK, "ok\n"),
            HealthState::Unhealthy => text(StatusCode::SERVICE_UNAVAILABLE, "unhealthy\n"),
        },
        JWKS_PATH => jwks(ops),
        _ => text(StatusCode::NOT_FOUND, "here are /livez, /readyz and /.well-known/jwks.json\n"),
    }
}

fn jwks(ops: &Ops) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(ops.jwks())));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static(JWKS_CACHE_CONTROL));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}
