//! What a failed call says, taken apart: the status, and the `google.rpc` details that Roster puts into it.

use std::{collections::HashMap, fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of Roster's own reasons ([AIP-193](https://google.aip.dev/193)).
pub const DOMAIN: &str = "roster";
/// The metadata that names a call in the server's log.
pub const REQUEST_ID: &str = "x-request-id";

/// A failed call.
///
/// ```
/// use roster_api::Error;
/// use tonic::{Code, Status};
/// use tonic_types::{ErrorDetails, StatusExt as _};
///
/// // What a server answers:
/// let mut details = ErrorDetails::with_bad_request_violation("email", "must have an @");
/// details.set_error_info("VALIDATION_FAILED", "roster", [("method".to_owned(), "CreateUser".to_owned())]);
/// let status = Status::with_error_details(Code::InvalidArgument, "1 field is wrong", details);
///
/// let error = Error::from(status);
/// assert_eq!(error.code(), Code::InvalidArgument);
/// assert_eq!(error.reason(), Some("VALIDATION_FAILED"));
/// assert_eq!(error.metadata("method"), Some("CreateUser"));
/// assert_eq!(error.violations()[0].field, "email");
/// assert_eq!(error.to_string(), "1 field is wrong (VALIDATION_FAILED); email: must have an @");
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    // Boxed, because a status is large and most results are not errors.
    status: Box<Status>,
    reason: Option<String>,
    metadata: HashMap<String, String>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
}

/// What is wrong in one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path, such as `email` or `address.country`.
    pub field: String,
    /// What came and what is allowed, for developers.
    pub description: String,
}

impl Error {
    /// The status code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.status.code()
    }

    /// The message, for developers.
    #[must_use]
    pub fn message(&self) -> &str {
        self.status.message()
    }

    /// The reason, such as `EMAIL_TAKEN`: stable, to decide by. `None` if the error is not Roster's own but comes from
    /// the connection or a proxy.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// A detail that goes with the reason.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// What is wrong in which field of the request; empty if nothing is.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How long to wait before trying again, if the server says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The id of the call in the server's log.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.status.metadata().get(REQUEST_ID)?.to_str().ok()
    }

    /// The status as it came.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // Details that cannot be read are as good as none: the code and the message still count.
        let details = status.check_error_details().unwrap_or_else(|_| ErrorDetails::new());
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let violations = details.bad_request().map_or_else(Vec::new, |bad| {
            let copy = |v: &tonic_types::FieldViolation| Violation {
                field: v.field.clone(),
                description: v.description.clone(),
            };
            bad.field_violations.iter().map(copy).collect()
        });
        Self {
            reason: info.map(|info| info.reason.clone()),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            violations,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            status: Box::new(status),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            "" => f.write_str(self.code().description())?,
            message => f.write_str(message)?,
        }
        if let Some(reason) = self.reason() {
            write!(f, " ({reason})")?;
        }
        for violation in &self.violations {
            write!(f, "; {}: {}", violation.field, violation.description)?;
        }
        if let Some(id) = self.request_id() {
            write!(f, "; request {id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_proxy_has_no_reason_of_ours() {
        let details = ErrorDetails::with_error_info("EMAIL_TAKEN", "proxy.example", HashMap::<String, String>::new());
        let error = Error::from(Status::with_error_details(Code::Unavailable, "no backend", details));
        assert_eq!(error.reason(), None);
        assert_eq!(error.to_string(), "no backend");
    }

    #[test]
    fn details_that_cannot_be_read_leave_code_and_message() {
        let error = Error::from(Status::with_details(Code::Internal, "broken", vec![0xff; 9].into()));
        assert_eq!((error.code(), error.message(), error.violations().len()), (Code::Internal, "broken", 0));
    }

    #[test]
    fn the_request_id_and_the_delay_are_found() {
        let mut details = ErrorDetails::with_retry_info(Some(Duration::from_millis(250)));
        details.set_error_info("QUEUE_FULL", DOMAIN, HashMap::<String, String>::new());
        let mut status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        status.metadata_mut().insert(REQUEST_ID, tonic::metadata::MetadataValue::from_static("r-1"));
        let error = Error::from(status);
        assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
        assert_eq!(error.to_string(), "busy (QUEUE_FULL); request r-1");
    }
}
