//! How much a call may say before its message.

use http::{HeaderName, HeaderValue, Request};

/// Bytes of a request's path and headers, counted as HTTP/2 does
/// ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2)).
const HEADERS_MAX_BYTES: usize = 16 * 1024;
/// What each header counts beside its name and value.
const OVERHEAD_BYTES: usize = 32;

/// What a caller with more than that is told.
pub(super) const TOO_LARGE: &str = "the request's metadata has more than 16 KiB";

/// Whether a request has more than that.
pub(super) fn are_too_large<B>(request: &Request<B>) -> bool {
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + OVERHEAD_BYTES;
    let headers: usize = request.headers().iter().map(bytes).sum();
    headers + request.uri().path().len() > HEADERS_MAX_BYTES
}
