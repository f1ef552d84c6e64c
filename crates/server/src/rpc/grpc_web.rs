//! gRPC-Web: for browsers, and for proxies that cannot carry trailers.
//!
//! A page may call only if its origin is allowed. That is also what keeps a page on the internet
//! from using a developer's own `--dev` server through the developer's browser.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, Service as _, service_fn};

use super::body::CallBody;

/// Response headers that a page may read.
const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin, retry-after, x-request-id";
/// Request headers that a page may send.
const ACCEPTED: &str = "authorization, content-type, grpc-timeout, idempotency-key, traceparent, tracestate, \
    x-grpc-web, x-max-staleness-ms, x-request-id, x-user-agent";
/// Seconds for which a browser may remember a preflight.
const PREFLIGHT_MAX_AGE_SECONDS: &str = "600";

/// Which pages may call.
#[derive(Clone, Debug)]
pub struct GrpcWeb {
    allowed_origins: Vec<String>,
}

impl GrpcWeb {
    /// Allows pages of these origins, such as `https://app.example.com`.
    #[must_use]
    pub fn new(allowed_origins: Vec<String>) -> Self {
        Self { allowed_origins }
    }

    /// Whether the request comes from no page at all, or from an allowed one.
    pub(super) fn allows(&self, origin: Option<&HeaderValue>) -> bool {
        origin.is_none_or(|origin| self.allowed_origins.iter().any(|allowed| origin == allowed.as_str()))
    }

    /// Answers a browser that asks whether a page, whose origin is allowed, may call.
    pub(super) fn preflight<B>(request: &Request<B>) -> Response<Body> {
        let origin = request.headers().get(header::ORIGIN);
        let mut response = plain(StatusCode::NO_CONTENT, "");
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ACCEPTED));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_MAX_AGE_SECONDS));
        allow_origin(origin.cloned(), headers);
        response
    }

    /// Lets the page read the response.
    pub(super) fn expose<B>(origin: Option<HeaderValue>, mut response: Response<B>) -> Response<B> {
        let headers = response.headers_mut();
        // They are in the body by now.
        headers.remove(header::TRAILER);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        allow_origin(origin, headers);
        response
    }
}

fn allow_origin(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// Whether a browser asks before it calls.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Turns the request into gRPC, lets `call` answer, and turns the response back.
pub(super) async fn translate<F, R>(request: Request<Incoming>, call: F) -> Response<Body>
where
    F: Fn(Request<Body>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<CallBody>> + Send + 'static,
{
    let inner = service_fn(move |request| {
        let response = call(request);
        async move { Ok::<_, std::convert::Infallible>(response.await.map(Body::new)) }
    });
    let Ok(response) = GrpcWebLayer::new().layer(inner).call(request.map(Body::new)).await;
    response.map(Body::new)
}

/// The answer to what is not gRPC, such as a browser that was pointed here.
pub(super) fn not_grpc() -> Response<Body> {
    plain(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "This port speaks gRPC and gRPC-Web (POST with content-type application/grpc or application/grpc-web).\n",
    )
}

/// The answer to a page whose origin is not allowed.
pub(super) fn forbidden_origin() -> Response<Body> {
    plain(StatusCode::FORBIDDEN, "Pages of this origin may not call; see the setting grpc_web_allowed_origins.\n")
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::new(bytes::Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    if !text.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}
