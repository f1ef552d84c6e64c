//! The keys that verify access tokens, for services that do so by themselves
//! ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;

use super::Answer;
use crate::ops::Ops;

/// Where others find the keys.
pub(super) const PATH: &str = "/.well-known/jwks.json";
/// How long they may keep them. A key that they do not know makes them look again.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The keys, the one that signs first.
pub(super) fn keys(ops: &Ops) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(ops.jwks())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, CACHE);
    response
}
