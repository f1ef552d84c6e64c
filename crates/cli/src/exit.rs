//! Exit codes, as `sysexits.h` has them, and the one place that chooses them for a gRPC status.

use std::process::ExitCode;

use tonic::Code;

/// Why the process ends, for scripts. 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// `EX_USAGE`
    Usage = 64,
    /// `EX_DATAERR`
    Data = 65,
    /// `EX_NOINPUT`
    NotFound = 66,
    /// `EX_UNAVAILABLE`
    Unavailable = 69,
    /// `EX_SOFTWARE`
    Internal = 70,
    /// `EX_CANTCREAT`
    CannotCreate = 73,
    /// `EX_IOERR`
    Io = 74,
    /// `EX_TEMPFAIL`
    TryAgain = 75,
    /// `EX_NOPERM`
    Refused = 77,
    /// `EX_CONFIG`
    Config = 78,
}

impl Exit {
    /// Every code with its meaning, in order.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Usage, "the command line is wrong"),
        (
            Self::Data,
            "the request was invalid, rows of an import failed, or the database is damaged, newer than this binary, or not ours",
        ),
        (Self::NotFound, "there is no such user, or no such thing of the user"),
        (Self::Unavailable, "the server cannot be reached, or its port is in use"),
        (Self::Internal, "something failed inside; the server's log has it under the request id"),
        (Self::CannotCreate, "it exists already, or a file cannot be created"),
        (Self::Io, "reading or writing failed"),
        (Self::TryAgain, "try again: the database is locked, the etag is stale, the server is busy, or time ran out"),
        (Self::Refused, "the caller is not known or may not do this"),
        (Self::Config, "the configuration is wrong"),
    ];

    /// The exit code for a call that failed with `code`.
    pub fn of(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::DataLoss => Self::Data,
            Code::NotFound => Self::NotFound,
            Code::Unavailable | Code::Unimplemented => Self::Unavailable,
            Code::Ok | Code::Unknown | Code::Internal => Self::Internal,
            Code::AlreadyExists => Self::CannotCreate,
            Code::Aborted | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled => Self::TryAgain,
            Code::Unauthenticated | Code::PermissionDenied => Self::Refused,
        }
    }

    /// The table for the long help.
    pub fn help() -> String {
        let lines = Self::ALL.iter().map(|(exit, meaning)| format!("  {}  {meaning}\n", *exit as u8));
        format!("Exit codes:\n   0  done\n{}", lines.collect::<String>())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_exit_code() {
        // Written out apart from the code it checks: the numbers of gRPC's statuses 1 to 16.
        let expected = [75, 70, 65, 75, 66, 73, 77, 75, 65, 75, 65, 69, 70, 69, 65, 77];
        for (number, exit) in (1..).zip(expected) {
            assert_eq!(Exit::of(Code::from_i32(number)) as u8, exit, "{:?}", Code::from_i32(number));
        }
    }

    #[test]
    fn the_help_lists_every_code_once_in_order() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| *exit as u8).collect();
        assert_eq!(codes, [64, 65, 66, 69, 70, 73, 74, 75, 77, 78]);
        assert!(Exit::help().contains("  73  it exists already"));
    }
}
