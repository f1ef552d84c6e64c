//! `x-request-id`: taken from the caller or made, kept in the change log, echoed in the response.

use std::{
    fmt::Write as _,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::ops::RequestId;

/// The header's name.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's id if it is one, else a new one.
pub(super) fn take_or_make(headers: &HeaderMap) -> RequestId {
    headers.get(&HEADER).and_then(|given| RequestId::parse(given.as_bytes())).unwrap_or_else(fresh)
}

/// Puts the id into a response.
pub(super) fn echo(request_id: &RequestId, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_maybe_shared(request_id.bytes()) {
        headers.insert(HEADER, value);
    }
}

/// 16 hexadecimal digits of this process and 16 of a counter: unique without a system call a request.
fn fresh() -> RequestId {
    static PROCESS: LazyLock<u64> =
        LazyLock::new(|| getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id())));
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut text = String::with_capacity(32);
    // Writing to a string cannot fail.
    let _ = write!(text, "{:016x}{:016x}", *PROCESS, CALLS.fetch_add(1, Ordering::Relaxed));
    text.into()
}
