//! What the user sees when something fails: what, every violation, the request id, and what to do next.

use std::io::{self, Write as _};

use roster_server::{app::StartError, config::ConfigError, store::postgres::OpenError, telemetry::escape};
use tonic::{Code, Status};

use crate::{exit::Exit, output::Style};

const NAME_THE_PORT: &str = "name the gRPC port with --server; 8000 is usually the HTTP port, 50051 the gRPC port";

/// How a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// To be told.
    Error(Box<CliError>),
    /// Told already.
    Told(Exit),
    /// Whoever read our output has seen enough, such as `head`: no failure.
    PipeClosed,
}

/// An error in words.
#[derive(Debug)]
pub struct CliError {
    /// For scripts.
    pub exit: Exit,
    /// What failed: one line.
    pub message: String,
    /// More of it: one line each.
    pub details: Vec<String>,
    /// The id under which the server's log has the call.
    pub request_id: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl CliError {
    /// An error without details.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), request_id: None, hint: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The lines, escaped: parts of them come from the server.
    pub fn lines(&self, style: Style) -> Vec<String> {
        let mut lines = vec![format!("{} {}", style.red("error:"), escape(&self.message))];
        lines.extend(self.details.iter().map(|detail| format!("  {}", escape(detail))));
        lines.extend(self.request_id.iter().map(|id| format!("{} {}", style.dim("request id:"), escape(id))));
        lines.extend(self.hint.iter().map(|hint| format!("{} {hint}", style.cyan("hint:"))));
        lines
    }

    /// Writes the lines to stderr.
    pub fn print(&self, style: Style) {
        // There is nobody left to tell when stderr is gone.
        let _ = io::stderr().write_all((self.lines(style).join("\n") + "\n").as_bytes());
    }
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Self::Error(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => CliError::new(Exit::Io, format!("cannot write: {error}")).into(),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        CliError::from(status).into()
    }
}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        if let Some(cut) = cut_off(&status) {
            return cut;
        }
        let error = roster_api::Error::from(status);
        // Roster gives every error a reason; what has neither that nor a request id did not come from it.
        let strange = matches!(error.code(), Code::Internal | Code::Unknown);
        if strange && error.reason().is_none() && error.request_id().is_none() {
            return Self::new(Exit::Unavailable, format!("what answers there is no Roster: {}", error.message()))
                .hint(NAME_THE_PORT);
        }
        let message = match error.message() {
            "" => error.code().description(),
            // The server's text repeats the violations, which get a line each below.
            _ if !error.violations().is_empty() => "the request is not valid",
            message => message,
        };
        let reason = error.reason().map_or_else(String::new, |reason| format!(" ({reason})"));
        let wait = error.retry_after().map(|wait| format!("try again in {:.1} s", wait.as_secs_f64()));
        Self {
            exit: Exit::of(error.code()),
            message: format!("{message}{reason}"),
            details: error.violations().iter().map(|v| format!("{}: {}", v.field, v.description)).collect(),
            request_id: error.request_id().map(str::to_owned),
            hint: wait.or_else(|| next_step(error.code(), error.reason()).map(str::to_owned)),
        }
    }
}

/// Whether the connection broke in the middle of an answer: whoever spoke gRPC until then is gone.
pub fn is_broken(status: &Status) -> bool {
    status.message().contains("error reading a body from connection")
}

/// What a connection died of that the server would not have: gRPC has no status for it.
fn cut_off(status: &Status) -> Option<CliError> {
    let first = std::error::Error::source(status);
    let causes: Vec<String> = std::iter::successors(first, |error| error.source()).map(ToString::to_string).collect();
    let says = |text: &str| causes.iter().any(|cause| cause.contains(text));
    let (message, hint) = if says("this port speaks TLS") {
        (
            "the server speaks TLS there, and was called in plain text",
            "call it with https:// in --server; --ca-cert names the CA of its certificate",
        )
    } else if says("CertificateRequired") {
        ("the server wants a certificate of yours", "name one with --client-cert and --client-key")
    } else if says("CertificateExpired") {
        ("your certificate has ended", "name a new one with --client-cert and --client-key")
    } else if status.message().contains("frame with invalid size") {
        ("what answers there does not speak gRPC", NAME_THE_PORT)
    } else if is_broken(status) {
        ("the connection broke", "see with `roster health` whether the server is there")
    } else if says("operation was canceled") {
        (
            "the server closed the connection before it answered",
            "it may want a certificate of yours (--client-cert, --client-key), be stopping, or be no Roster: ask `roster doctor`",
        )
    } else {
        return None;
    };
    Some(CliError::new(Exit::Unavailable, message).hint(hint))
}

/// What to do about a call that failed with `code` for this reason.
fn next_step(code: Code, reason: Option<&str>) -> Option<&'static str> {
    Some(match code {
        Code::OutOfRange if reason == Some("RESUME_TOKEN_EXPIRED") => {
            "start again with --snapshot and without the token"
        }
        Code::InvalidArgument if reason == Some("RESUME_TOKEN_INVALID") => {
            "it is of another filter, another database, or one that was restored: start again with --snapshot and no token"
        }
        Code::InvalidArgument | Code::OutOfRange => {
            "mend what is named and try again; --help says what each flag takes"
        }
        Code::NotFound if reason == Some("ADDRESS_NOT_FOUND") => {
            "see which addresses the user has with `roster address list USER`"
        }
        Code::FailedPrecondition if reason == Some("ADDRESS_LIMIT_REACHED") => {
            "make room with `roster address delete USER ADDRESS`"
        }
        Code::NotFound => "find users with `roster user search TEXT` or `roster user list`",
        Code::AlreadyExists => "see who has it with `roster user search TEXT`, or choose another",
        Code::Aborted => {
            "someone else changed it meanwhile: look at it with `roster … get`, then try again with its etag"
        }
        Code::DeadlineExceeded | Code::Cancelled => "try again, or allow more time with --timeout SECONDS",
        Code::ResourceExhausted if matches!(reason, Some("HEADERS_TOO_LARGE" | "MESSAGE_TOO_LARGE")) => {
            "make it smaller: to try again is of no use"
        }
        Code::ResourceExhausted => "the server is busy or the request is too large: wait a little, then try again",
        Code::Unauthenticated if reason == Some("SIGN_IN_FAILED") => {
            "look at the login and the password again; whoever has forgotten the password can have it reset by mail"
        }
        Code::Unauthenticated => {
            "sign in with `roster login`, or set ROSTER_TOKEN to an API key; `roster serve --dev` needs neither"
        }
        Code::PermissionDenied => "ask an administrator for the permission",
        Code::Unavailable => "the server is stopping or overloaded: try again, or ask `roster doctor`",
        Code::Unimplemented => "the server does not know this call: compare its version with `roster doctor`",
        Code::Internal | Code::Unknown | Code::DataLoss => "look up the request id in the server's log",
        Code::Ok | Code::FailedPrecondition => return None,
    })
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        CliError::new(Exit::Config, error.to_string())
            .hint("docs/configuration.md has every setting; `roster doctor` checks them without starting anything")
            .into()
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let exit = match &error {
            StartError::PortInUse { .. } => Exit::Unavailable,
            StartError::CannotListen { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => Exit::Refused,
            StartError::CannotListen { .. } | StartError::OperatorSocket { .. } => Exit::Unavailable,
            StartError::Tls(_) => Exit::Config,
            StartError::CannotCreate { .. } => Exit::CannotCreate,
            StartError::Locked { .. } => Exit::TryAgain,
            StartError::Damaged { .. }
            | StartError::NewerSchema { .. }
            | StartError::NotADatabase { .. }
            | StartError::HalfCopied { .. } => Exit::Data,
            StartError::Postgres { error } => exit_of(error),
            StartError::Mail { .. } | StartError::Redis { .. } | StartError::Tracing(_) => Exit::Config,
            StartError::Failed(_) => Exit::Internal,
        };
        // The text says how to mend it.
        CliError::new(exit, error.to_string()).into()
    }
}

/// What a PostgreSQL database that cannot be served ends the process with.
pub fn exit_of(error: &OpenError) -> Exit {
    match error {
        OpenError::Unreachable { .. } | OpenError::ReadOnly { .. } => Exit::Unavailable,
        OpenError::Held { .. } => Exit::TryAgain,
        OpenError::Refused { .. } | OpenError::NotAllowed { .. } => Exit::Refused,
        OpenError::NoDatabase { .. } | OpenError::Tls { .. } | OpenError::NoExtension { .. } => Exit::Config,
        OpenError::OldServer { .. }
        | OpenError::NotUtf8 { .. }
        | OpenError::NotOurs { .. }
        | OpenError::HalfCopied { .. }
        | OpenError::NewerSchema { .. } => Exit::Data,
        OpenError::Failed { .. } => Exit::Internal,
    }
}

#[cfg(test)]
mod tests {
    use roster_api::error::{DOMAIN, REQUEST_ID};
    use tonic::metadata::MetadataMap;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn a_status_becomes_lines_that_nothing_in_it_can_break() {
        let mut details = ErrorDetails::new();
        details.set_error_info("VALIDATION_FAILED", DOMAIN, [("method".to_owned(), "CreateUser".to_owned())]);
        details.add_bad_request_violation("email", "\"x\x1b[31m\ny\" has no @");
        details.add_bad_request_violation("age", "200 is over 150");
        let mut metadata = MetadataMap::new();
        metadata.insert(REQUEST_ID, "r-1".parse().unwrap());
        let status =
            Status::with_error_details_and_metadata(Code::InvalidArgument, "2 fields are wrong", details, metadata);
        let error = CliError::from(status);
        assert_eq!(error.exit, Exit::Data);
        assert_eq!(
            error.lines(Style::PLAIN),
            [
                "error: the request is not valid (VALIDATION_FAILED)",
                "  email: \"x\\u{1b}[31m\\ny\" has no @",
                "  age: 200 is over 150",
                "request id: r-1",
                "hint: mend what is named and try again; --help says what each flag takes",
            ]
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        assert!(matches!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)), Failure::PipeClosed));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, Failure::Error(error) if error.exit == Exit::Io));
    }
}
