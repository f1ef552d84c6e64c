//! `x-request-id`: taken from the caller or made, kept in the change log, echoed in the response.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::ops::RequestId;

/// The header's name.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's id if it is one, else a new one.
pub(super) fn take_or_make(headers: &HeaderMap) -> RequestId {
    headers.get(&HEADER).and_then(|given| RequestId::parse(given.as_bytes())).unwrap_or_else(RequestId::generate)
}

/// Puts the id into a response.
pub(super) fn echo(request_id: &RequestId, headers: &mut HeaderMap) {
    if let Ok(mut value) = HeaderValue::from_str(request_id.as_str()) {
        // No secret, but never the same twice: HTTP/2 keeps what is sensitive out of its table of
        // headers, which would else throw out a useful one for every response.
        value.set_sensitive(true);
        headers.insert(HEADER, value);
    }
}
