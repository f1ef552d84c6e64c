//! `/livez` and `/readyz`, for who looks after the process.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;

use super::Answer;
use crate::{
    net::DrainSignal,
    ops::{HealthState, Ops},
};

/// The process answers.
pub(super) fn live() -> Answer {
    text(StatusCode::OK, "ok\n")
}

/// It can serve and no drain has begun. What works in part serves.
pub(super) async fn ready(ops: &Ops, grpc: &DrainSignal) -> Answer {
    if grpc.is_draining() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    match ops.health_check().await.state {
        HealthState::Healthy | HealthState::Degraded => text(StatusCode::OK, "ok\n"),
        HealthState::Unhealthy => text(StatusCode::SERVICE_UNAVAILABLE, "unhealthy\n"),
    }
}

pub(super) fn text(status: StatusCode, text: &'static str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
