//! `/livez` and `/readyz`, for who looks after the process.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::Full;

use super::Answer;
use crate::ops::{DependencyHealth, Health, HealthState, Ops, SERVER};

/// The process answers.
pub(super) fn live(uri: &Uri) -> Answer {
    text(StatusCode::OK, if is_verbose(uri) { "[+] process ok\nok\n" } else { "ok\n" })
}

/// It can serve and no drain has begun. What works in part serves.
pub(super) async fn ready(ops: &Ops, uri: &Uri) -> Answer {
    let health = ops.health_check().await;
    let (status, verdict) = match health.state {
        HealthState::Healthy | HealthState::Degraded => (StatusCode::OK, "ok\n"),
        HealthState::Unhealthy if is_draining(&health) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        HealthState::Unhealthy => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy\n"),
    };
    if is_verbose(uri) { text(status, checks(&health) + verdict) } else { text(status, verdict) }
}

fn is_draining(health: &Health) -> bool {
    health.dependencies.iter().any(|dependency| dependency.name == SERVER)
}

/// Whether each check is to be named: `?verbose`.
fn is_verbose(uri: &Uri) -> bool {
    let parameters = uri.query().unwrap_or_default().split('&');
    parameters.into_iter().any(|parameter| parameter.split('=').next() == Some("verbose"))
}

/// A line a check: `[+]` works, `[~]` works in part, `[-]` does not.
fn checks(health: &Health) -> String {
    let mut lines = String::new();
    for DependencyHealth { name, state, latency, message } in &health.dependencies {
        let (mark, state) = match state {
            HealthState::Healthy => ("[+]", "ok"),
            HealthState::Degraded => ("[~]", "degraded"),
            HealthState::Unhealthy => ("[-]", "failed"),
        };
        // Writing to a string cannot fail.
        let _ = write!(lines, "{mark} {name} {state}");
        if let Some(latency) = latency {
            let _ = write!(lines, " in {:.1} ms", latency.as_secs_f64() * 1e3);
        }
        let _ = writeln!(lines, "{}{message}", if message.is_empty() { "" } else { ": " });
    }
    if !is_draining(health) {
        let _ = writeln!(lines, "[+] {SERVER} ok");
    }
    lines
}

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
