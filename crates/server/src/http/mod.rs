//! The HTTP port: whether the process lives, and whether it can serve.

use std::{io, net::TcpListener, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::{
    net::{self, DrainSignal, DrainSwitch, Net, NetOptions},
    ops::{HealthState, Ops},
};

/// Serves `/livez` and `/readyz`. `grpc` tells when the gRPC port has begun to drain.
///
/// # Errors
/// When a thread cannot be started.
pub fn serve(listener: TcpListener, options: NetOptions, ops: Arc<Ops>, grpc: DrainSignal) -> io::Result<Net> {
    net::serve(listener, options, DrainSwitch::new(), move |_, request| {
        let (ops, grpc) = (Arc::clone(&ops), grpc.clone());
        async move { answer(&ops, &grpc, &request).await }
    })
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
        _ => text(StatusCode::NOT_FOUND, "here are /livez and /readyz\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}
