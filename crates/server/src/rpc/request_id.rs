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
    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        headers.insert(HEADER, value);
    }
}
