//! What is tried again, how often, and after how long: the rules of
//! [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md).

use std::time::Duration;

use http::{Response, StatusCode};
use tonic::{Code, Status};

use crate::Error;

/// How long the server asks to wait before the next attempt, in milliseconds; no number says not to try again.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// How calls are tried again. Only calls that may be made twice are: those that change nothing, and those with an
/// `idempotency-key`, which the client puts on every call that changes something and does not stream.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first one too; 1 never tries again.
    pub attempts_max: u32,
    /// The wait before the second attempt, on the average half of it; grows with each.
    pub backoff_first: Duration,
    /// What the wait grows by.
    pub backoff_factor: f64,
    /// The longest wait. A server that asks for a longer one gets its way: the call fails.
    pub backoff_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 4,
            backoff_first: Duration::from_millis(100),
            backoff_factor: 2.0,
            backoff_max: Duration::from_secs(2),
        }
    }
}

impl RetryPolicy {
    /// No attempt but the first.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts_max: 1, ..Self::default() }
    }

    /// The wait after this many attempts, by `chance` from 0 to 1: anything up to the backoff, so that clients that
    /// failed together do not come back together.
    pub(super) fn backoff(&self, attempts: u32, chance: f64) -> Duration {
        let grown = self.backoff_factor.max(1.0).powi(i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX));
        let wait = self.backoff_first.as_secs_f64() * grown;
        Duration::from_secs_f64(wait.min(self.backoff_max.as_secs_f64()) * chance.clamp(0.0, 1.0))
    }
}

/// What a failed attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The call has failed.
    Final,
    /// Another attempt may do better.
    Again {
        /// How long the server asks to wait.
        wait: Option<Duration>,
        /// Whether the server was reached and works: then it is busy and not broken.
        is_alive: bool,
    },
}

/// Judges an attempt that ended with this status.
pub(super) fn judge(status: &Status) -> Verdict {
    if ![Code::Unavailable, Code::ResourceExhausted].contains(&status.code()) {
        return Verdict::Final;
    }
    let error = Error::from(status.clone());
    // A server that says what is wrong, such as with its disk, may do other calls well; one that stops does none.
    let is_alive =
        status.code() == Code::ResourceExhausted || error.reason().is_some_and(|reason| reason != "SHUTTING_DOWN");
    // Who is locked out for wrong passwords would only guess again, and a full disk takes a person.
    if let Some("ACCOUNT_LOCKED" | "DISK_FULL") = error.reason() {
        return Verdict::Final;
    }
    match pushback(status) {
        Some(None) => Verdict::Final,
        Some(wait) => Verdict::Again { wait, is_alive },
        None if status.code() == Code::ResourceExhausted => busy(&error),
        None => Verdict::Again { wait: error.retry_after(), is_alive },
    }
}

/// `Some(None)` says not to try again.
fn pushback(status: &Status) -> Option<Option<Duration>> {
    let value = status.metadata().get(PUSHBACK)?;
    Some(value.to_str().ok().and_then(|text| text.parse().ok()).map(Duration::from_millis))
}

/// What a server that has too much to do says. A message that is too large stays so.
fn busy(error: &Error) -> Verdict {
    match error.retry_after() {
        None => Verdict::Final,
        wait => Verdict::Again { wait, is_alive: true },
    }
}

/// The status in the headers of a response that has nothing else; or what the answer of a proxy means that has found no
/// server, by [the rules for those](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
pub(super) fn status_of<B>(response: &Response<B>) -> Option<Status> {
    if response.headers().contains_key(Status::GRPC_STATUS) {
        return Status::from_header_map(response.headers());
    }
    match response.status() {
        status @ (StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT) => Some(Status::unavailable(format!("a proxy before the server says {status}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn with_pushback(code: Code, value: &'static str) -> Status {
        let mut status = Status::new(code, "");
        status.metadata_mut().insert(PUSHBACK, value.parse().unwrap());
        status
    }

    #[test]
    fn only_what_may_do_better_is_tried_again() {
        let again = |wait, is_alive| Verdict::Again { wait, is_alive };
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(judge(&Status::unavailable("")), again(None, false));
        assert_eq!(judge(&Status::not_found("")), Verdict::Final);
        assert_eq!(judge(&Status::deadline_exceeded("")), Verdict::Final);
        assert_eq!(judge(&Status::resource_exhausted("too large")), Verdict::Final);
        let busy = Status::with_error_details(Code::ResourceExhausted, "", ErrorDetails::with_retry_info(ms(30)));
        assert_eq!(judge(&busy), again(ms(30), true));
        let mut details = ErrorDetails::with_retry_info(ms(30));
        details.set_error_info("ACCOUNT_LOCKED", "roster", HashMap::<String, String>::new());
        let mut locked = Status::with_error_details(Code::ResourceExhausted, "", details);
        assert_eq!(judge(&locked), Verdict::Final);
        locked.metadata_mut().insert(PUSHBACK, "30".parse().unwrap());
        assert_eq!(judge(&locked), Verdict::Final);
        let says = |reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "roster", HashMap::<String, String>::new());
            judge(&Status::with_error_details(Code::Unavailable, "", details))
        };
        assert_eq!(says("STORE_UNAVAILABLE"), again(None, true));
        assert_eq!(says("SHUTTING_DOWN"), again(None, false));
        assert_eq!(judge(&with_pushback(Code::Unavailable, "70")), again(ms(70), false));
        for no in ["-1", "soon", ""] {
            assert_eq!(judge(&with_pushback(Code::Unavailable, no)), Verdict::Final, "{no:?}");
        }
    }

    #[test]
    fn waits_grow_to_their_limit_and_are_spread() {
        let policy = RetryPolicy::default();
        let ms = |attempts, chance| policy.backoff(attempts, chance).as_millis();
        assert_eq!([ms(1, 1.0), ms(2, 1.0), ms(3, 1.0), ms(9, 1.0), ms(u32::MAX, 1.0)], [100, 200, 400, 2_000, 2_000]);
        assert_eq!([ms(1, 0.0), ms(1, 0.5)], [0, 50]);
    }
}
