//! The only place that turns an error into a gRPC status.

use std::{collections::HashMap, time::Duration};

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    auth::Refusal,
    model::{Violation, Violations},
    ops::{self, Error, Reason, Resource},
};

/// The domain of every `ErrorInfo` of ours.
pub const DOMAIN: &str = "roster";

/// The status of an error, with all its details. What is internal is logged here, once, and not told.
pub(super) fn of_error(error: &Error, request_id: &str) -> Status {
    let reason = error.reason();
    let mut details = details(reason, metadata(error));
    details.set_request_info(request_id, "");
    match error {
        Error::Invalid(violations) => {
            for violation in told(violations) {
                details.add_bad_request_violation(&violation.field, &violation.description);
            }
        }
        Error::UserNotFound { value, .. } => {
            details.set_resource_info("user.v1.User", value, "", "");
        }
        Error::StaleEtag { resource, id } => {
            details.set_resource_info(etagged_type(*resource), id, "", "");
        }
        Error::HashingBusy { retry_after }
        | Error::QueueFull { retry_after }
        | Error::AccountLocked { retry_after }
        | Error::RateLimited { retry_after }
        | Error::TooManyWatchers { retry_after }
        | Error::Unavailable { retry_after, .. } => {
            details.set_retry_info(Some(*retry_after));
        }
        Error::DiskFull(_) => {
            details.set_retry_info(Some(DISK_RETRY_AFTER));
        }
        Error::Missing { reason, id } => {
            details.set_resource_info(resource_type(*reason), id, "", "");
        }
        Error::TokenInvalid => {
            details.add_bad_request_violation("token", TOKEN_INVALID);
        }
        Error::KeyReused => {
            details.add_bad_request_violation("idempotency-key", KEY_REUSED);
        }
        Error::PasswordWrong => {
            details.add_bad_request_violation("current_password", "is not the password of this user");
        }
        Error::Taken(_)
        | Error::Refused(_)
        | Error::Unauthenticated(_)
        | Error::SignUpClosed
        | Error::Precondition(_)
        | Error::Plain(_)
        | Error::WatchEnded { .. }
        | Error::Internal(_) => {}
    }
    log_internal(error, request_id);
    let retry_after = details.retry_info().and_then(|info| info.retry_delay);
    let mut status = Status::with_error_details(code(reason), message(error), details);
    if let Some(retry_after) = retry_after {
        push_back(&mut status, retry_after);
    }
    if let Error::RateLimited { retry_after } = error {
        // For proxies and for clients that read no details.
        status.metadata_mut().insert("retry-after", whole_seconds(*retry_after).into());
    }
    status
}

/// What a worker says that has more to do than it can.
pub(super) fn overloaded(retry_after: Duration) -> Status {
    of_passing(Reason::Overloaded, "the server has more to do than it can; try again soon", retry_after)
}

/// What a call ends with for whose message there is no memory now.
pub(super) fn intake_full() -> Status {
    of_passing(Reason::IntakeFull, "too many large messages come in; try again soon", INTAKE_RETRY_AFTER)
}

/// A status of the way to the use cases that will be another soon.
fn of_passing(reason: Reason, message: &str, retry_after: Duration) -> Status {
    let mut details = details(reason, HashMap::new());
    details.set_retry_info(Some(retry_after));
    let mut status = Status::with_error_details(code(reason), message, details);
    push_back(&mut status, retry_after);
    status
}

/// Tells clients of gRPC that retry by themselves when to
/// (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
fn push_back(status: &mut Status, retry_after: Duration) {
    let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    status.metadata_mut().insert("grpc-retry-pushback-ms", millis.saturating_add(1).into());
}

/// Rounded up: who comes back after it does not come too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX).max(1)
}

/// The reason of the error that headers carry, if they carry one.
pub(super) fn reason_in(headers: &HeaderMap) -> Option<Reason> {
    let told = Status::from_header_map(headers)?.get_details_error_info()?.reason;
    Reason::ALL.iter().copied().find(|reason| reason.name() == told)
}

/// Told of a mailed token, whatever is wrong with it.
const TOKEN_INVALID: &str = "is not valid: unknown, used, expired or cut short; ask for a new mail";

/// Told of a key that was used for another request.
const KEY_REUSED: &str = "was used for another request of this method within 24 hours; give each request its own key";

/// The type that `ResourceInfo` names.
fn resource_type(reason: Reason) -> &'static str {
    match reason {
        Reason::AddressNotFound => "user.v1.Address",
        Reason::SessionNotFound => "auth.v1.Session",
        Reason::ApiKeyNotFound => "auth.v1.ApiKey",
        Reason::MailNotFound => "roster.admin.v1.Mail",
        _ => "user.v1.User",
    }
}

/// The same of what has an etag.
fn etagged_type(resource: Resource) -> &'static str {
    match resource {
        Resource::User => "user.v1.User",
        Resource::Address => "user.v1.Address",
        Resource::Preferences => "user.v1.Preferences",
    }
}

/// Bytes of a request's violations in the details, which travel in headers, in base64. The gRPC libraries
/// refuse responses with more than 8 KiB of them, and then the caller would hear nothing at all.
const VIOLATIONS_MAX_BYTES: usize = 4 * 1024;
/// Bytes that a violation takes beyond its texts.
const VIOLATION_FRAME_BYTES: usize = 8;
/// Bytes of them in the message, of which a header makes up to three each.
const MESSAGE_MAX_BYTES: usize = 512;

/// A disk does not empty itself in milliseconds.
const DISK_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Nor does a large message come in at once.
const INTAKE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A status of the way to the use cases rather than of one.
pub(super) fn of_reason(reason: Reason, message: impl Into<String>) -> Status {
    Status::with_error_details(code(reason), message, details(reason, HashMap::new()))
}

/// The one answer to credentials that are not valid, or not any more.
pub(super) fn credentials_invalid() -> Status {
    of_reason(Reason::CredentialsInvalid, Reason::CredentialsInvalid.doc().trim())
}

/// Gives a status that tonic made a reason, as all of ours have. Where tonic's code is not the one
/// that gRPC's own libraries use (they call a message that is too large `RESOURCE_EXHAUSTED`), it is theirs.
///
/// Tonic says `INTERNAL` of what it cannot read: a message cut short, or one that is none. That is
/// the caller's mistake; our own come as an [`Error`].
fn of_tonic(made: Code, message: impl Into<String>) -> Status {
    let reason = match made {
        Code::Unimplemented => Reason::MethodNotImplemented,
        Code::OutOfRange | Code::ResourceExhausted => Reason::MessageTooLarge,
        Code::DeadlineExceeded => Reason::DeadlineExceeded,
        Code::Cancelled => Reason::CallCancelled,
        Code::Unavailable => Reason::ShuttingDown,
        Code::InvalidArgument | Code::Internal => Reason::MalformedMessage,
        // Only health and reflection leave this to tonic.
        Code::NotFound => Reason::NameUnknown,
        _ => Reason::Internal,
    };
    of_reason(reason, message)
}

/// Gives the error that headers or trailers carry a reason, if tonic made it.
pub(super) fn complete(headers: &mut HeaderMap) {
    let Some(status) = Status::from_header_map(headers) else { return };
    if status.code() == Code::Ok || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return;
    }
    // The headers of a status are ASCII by construction.
    let _ = of_tonic(status.code(), status.message()).add_header(headers);
}

fn details(reason: Reason, metadata: HashMap<String, String>) -> ErrorDetails {
    ErrorDetails::with_error_info(reason.name(), DOMAIN, metadata)
}

fn metadata(error: &Error) -> HashMap<String, String> {
    let pair = match error {
        Error::UserNotFound { field, .. } => ("field", (*field).to_owned()),
        Error::Taken(unique) => ("field", unique.to_string()),
        Error::Refused(Refusal::Lacks(permission)) => ("permission", permission.name().to_owned()),
        Error::WatchEnded { resume_token, .. } => ("resume_token", resume_token.clone()),
        _ => return HashMap::new(),
    };
    HashMap::from([(pair.0.to_owned(), pair.1)])
}

/// For developers, in English; nothing in it is internal or secret.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::Invalid(violations) => summary(violations),
        Error::UserNotFound { field: "email", value } => format!("no user has the email {value}"),
        Error::UserNotFound { value, .. } => format!("User {value} not found"),
        Error::Taken(unique) => format!("another user has this {unique}"),
        Error::StaleEtag { resource: Resource::User, id } => format!("user {id} has changed since this etag was read"),
        Error::StaleEtag { resource: Resource::Address, id } => {
            format!("address {id} has changed since this etag was read")
        }
        Error::StaleEtag { resource: Resource::Preferences, id } => {
            format!("the preferences of user {id} have changed since this etag was read")
        }
        Error::Missing { reason, id } => format!("no {} has the id {id}", resource_type(*reason)),
        Error::Precondition(reason) | Error::Unauthenticated(reason) | Error::Plain(reason) => {
            reason.doc().trim().to_owned()
        }
        Error::WatchEnded { reason, .. } => reason.doc().trim().to_owned(),
        Error::TooManyWatchers { .. } => "as many clients watch as may; try again soon".into(),
        Error::SignUpClosed => Reason::SignUpClosed.doc().trim().to_owned(),
        Error::TokenInvalid => format!("token {TOKEN_INVALID}"),
        Error::KeyReused => format!("idempotency-key {KEY_REUSED}"),
        Error::PasswordWrong => "current_password is not the password of this user".into(),
        Error::AccountLocked { retry_after } => {
            format!("too many wrong passwords; try again in {} s", retry_after.as_secs().max(1))
        }
        Error::RateLimited { retry_after } => {
            format!("too many calls; try again in {} s", whole_seconds(*retry_after))
        }
        Error::Refused(Refusal::NotSignedIn) => "sign in first: this method needs an authorization header".into(),
        Error::Refused(Refusal::Lacks(permission)) => format!("this needs the permission {permission}"),
        Error::HashingBusy { .. } => "too many passwords wait to be hashed; try again soon".into(),
        Error::QueueFull { .. } => "too many calls wait for the database; try again soon".into(),
        Error::DiskFull(_) => "the disk under the database is full; nothing was changed".into(),
        Error::Unavailable { .. } => "the database is unavailable; nothing was changed".into(),
        Error::Internal(_) => "an internal error; the server's log has it under the request id".into(),
    }
}

/// The violations that fit into the headers of a response, the first of them at least.
fn told(violations: &Violations) -> impl Iterator<Item = &Violation> {
    let mut bytes = 0;
    violations
        .iter()
        .enumerate()
        .take_while(move |(index, violation)| {
            bytes += violation.field.len() + violation.description.len() + VIOLATION_FRAME_BYTES;
            *index == 0 || bytes <= VIOLATIONS_MAX_BYTES
        })
        .map(|(_, violation)| violation)
}

/// The violations in one line: as many as fit, and how many there are beyond.
fn summary(violations: &Violations) -> String {
    let mut line = String::new();
    let all = violations.iter().count();
    for (index, violation) in violations.iter().enumerate() {
        let text = violation.to_string();
        if index > 0 && line.len() + text.len() > MESSAGE_MAX_BYTES {
            line.push_str(&format!("; and {} more", all - index));
            break;
        }
        if index > 0 {
            line.push_str("; ");
        }
        line.push_str(&text);
    }
    line
}

fn log_internal(error: &Error, request_id: &str) {
    match error {
        Error::Internal(cause) => tracing::error!(request_id, cause, "internal error"),
        Error::Unavailable { source, .. } | Error::DiskFull(source) => {
            tracing::error!(request_id, cause = %source, "the store failed");
        }
        _ => {}
    }
}

fn code(reason: Reason) -> Code {
    match reason.code() {
        ops::reason::Code::InvalidArgument => Code::InvalidArgument,
        ops::reason::Code::FailedPrecondition => Code::FailedPrecondition,
        ops::reason::Code::OutOfRange => Code::OutOfRange,
        ops::reason::Code::DeadlineExceeded => Code::DeadlineExceeded,
        ops::reason::Code::NotFound => Code::NotFound,
        ops::reason::Code::AlreadyExists => Code::AlreadyExists,
        ops::reason::Code::PermissionDenied => Code::PermissionDenied,
        ops::reason::Code::ResourceExhausted => Code::ResourceExhausted,
        ops::reason::Code::Aborted => Code::Aborted,
        ops::reason::Code::Unimplemented => Code::Unimplemented,
        ops::reason::Code::Internal => Code::Internal,
        ops::reason::Code::Unavailable => Code::Unavailable,
        ops::reason::Code::Unauthenticated => Code::Unauthenticated,
        ops::reason::Code::Cancelled => Code::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn whoever_is_to_come_back_is_told_when_in_both_ways() {
        const WAIT: Duration = Duration::from_millis(1_500);
        let statuses = [
            Error::HashingBusy { retry_after: WAIT },
            Error::QueueFull { retry_after: WAIT },
            Error::AccountLocked { retry_after: WAIT },
            Error::RateLimited { retry_after: WAIT },
            Error::TooManyWatchers { retry_after: WAIT },
            Error::DiskFull(StoreError::Full("full".into())),
        ]
        .map(|error| of_error(&error, "r"))
        .into_iter()
        .chain([overloaded(WAIT), intake_full()]);
        for status in statuses {
            let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
            let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
            assert_eq!(pushback.parse::<u128>().unwrap(), wait.as_millis() + 1, "{status:?}");
        }
        let lasting = of_error(&Error::PasswordWrong, "r");
        assert!(!lasting.metadata().contains_key("grpc-retry-pushback-ms"));
    }
}
