//! Every reason that an error can have, with its status and what to do about it.
//!
//! `docs/errors.md` is made from this table and a test keeps it so.

use std::fmt::Write as _;

/// A gRPC status code, as far as we use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are gRPC's own")]
pub enum Code {
    InvalidArgument,
    FailedPrecondition,
    OutOfRange,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    Aborted,
    Unimplemented,
    Internal,
    Unavailable,
    Unauthenticated,
    Cancelled,
}

impl Code {
    /// The name that gRPC's documents use, such as `INVALID_ARGUMENT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Aborted => "ABORTED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $code:ident;)+) => {
        /// The stable `reason` of an error's `google.rpc.ErrorInfo`; its domain is `roster`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// All reasons, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The status that it comes with.
            #[must_use]
            pub fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code,)+ }
            }

            /// When it comes, and what to do.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+),)+ }
            }
        }
    };
}

reasons! {
    /// One or more fields are wrong; `BadRequest` lists every one with what came and what is allowed.
    ValidationFailed = "VALIDATION_FAILED", InvalidArgument;
    /// There is no message, or its bytes are not the message that the method takes, such as text that is not UTF-8.
    MalformedMessage = "MALFORMED_MESSAGE", InvalidArgument;
    /// The filter cannot be read; the violation says where and why.
    FilterInvalid = "FILTER_INVALID", InvalidArgument;
    /// The order cannot be read; the violation says where and why.
    OrderByInvalid = "ORDER_BY_INVALID", InvalidArgument;
    /// The page token is garbage, or of another query or caller. Start again without one.
    PageTokenInvalid = "PAGE_TOKEN_INVALID", InvalidArgument;
    /// The resume token is garbage, or of another filter or server. Go on with the filter that it was given for, or start
    /// again with a snapshot.
    ResumeTokenInvalid = "RESUME_TOKEN_INVALID", InvalidArgument;
    /// The log of changes does not have what followed this token, because it does not reach back so far, because the database
    /// is an older copy of itself, or because one of its servers was lost with what it had not handed on. Start again with a snapshot.
    ResumeTokenExpired = "RESUME_TOKEN_EXPIRED", OutOfRange;
    /// The method takes its parameters in the message, never in the path.
    PathInvalid = "PATH_INVALID", InvalidArgument;
    /// The token of a mailed link is unknown, used, expired or cut short. Ask for a new mail.
    TokenInvalid = "TOKEN_INVALID", InvalidArgument;
    /// The `idempotency-key` was used within 24 hours for another request of the same method. Each request needs its own.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", InvalidArgument;
    /// `current_password` is not the user's password.
    PasswordWrong = "PASSWORD_WRONG", InvalidArgument;
    /// No user has this id or email; `ResourceInfo` names which was asked for.
    UserNotFound = "USER_NOT_FOUND", NotFound;
    /// The user has no address with this id.
    AddressNotFound = "ADDRESS_NOT_FOUND", NotFound;
    /// The user has no session with this id; it may have ended.
    SessionNotFound = "SESSION_NOT_FOUND", NotFound;
    /// There is no API key with this id, or it was revoked.
    ApiKeyNotFound = "API_KEY_NOT_FOUND", NotFound;
    /// There is no mail with this id in the outbox.
    MailNotFound = "MAIL_NOT_FOUND", NotFound;
    /// Health or reflection was asked about a name that this server does not serve.
    NameUnknown = "NAME_UNKNOWN", NotFound;
    /// Another user has the id that was chosen.
    UserIdTaken = "USER_ID_TAKEN", AlreadyExists;
    /// Another user has the email, in any case and in look-alike letters.
    EmailTaken = "EMAIL_TAKEN", AlreadyExists;
    /// Another user has the username, in any case and in look-alike letters.
    UsernameTaken = "USERNAME_TAKEN", AlreadyExists;
    /// The user, address or preferences have changed since the etag was read. Get it again and decide anew.
    EtagMismatch = "ETAG_MISMATCH", Aborted;
    /// The user has 50 addresses, as many as a user may have. Delete one first.
    AddressLimitReached = "ADDRESS_LIMIT_REACHED", FailedPrecondition;
    /// There are as many API keys as there may be. Revoke some first.
    ApiKeyLimitReached = "API_KEY_LIMIT_REACHED", FailedPrecondition;
    /// The call was done when it came first, and what it was about has been deleted since, and the answer with it.
    IdempotentAnswerDeleted = "IDEMPOTENT_ANSWER_DELETED", FailedPrecondition;
    /// The user is the last administrator who can sign in. Make another one first.
    LastAdmin = "LAST_ADMIN", FailedPrecondition;
    /// Another call is running with this import key. Wait for its end, or for it to be noticed that its connection broke.
    ImportRunning = "IMPORT_RUNNING", FailedPrecondition;
    /// The caller has no session: it calls with an API key or a certificate.
    NoSession = "NO_SESSION", FailedPrecondition;
    /// The method needs a signed-in caller.
    CredentialsMissing = "CREDENTIALS_MISSING", Unauthenticated;
    /// The token or key in `authorization` is malformed, unknown, expired or revoked, or its user may not sign in.
    CredentialsInvalid = "CREDENTIALS_INVALID", Unauthenticated;
    /// The login or the password is wrong, or the user has none or may not sign in.
    SignInFailed = "SIGN_IN_FAILED", Unauthenticated;
    /// The refresh token is unknown, used, expired or revoked. Sign in again.
    RefreshTokenInvalid = "REFRESH_TOKEN_INVALID", Unauthenticated;
    /// Nobody may sign up here: users are created by who has the permission `users.create`.
    SignUpClosed = "SIGN_UP_CLOSED", PermissionDenied;
    /// The caller lacks the permission that the metadata names.
    PermissionDenied = "PERMISSION_DENIED", PermissionDenied;
    /// No such service or method.
    MethodUnknown = "METHOD_UNKNOWN", Unimplemented;
    /// The method is part of the API but this server does not serve it yet.
    MethodNotImplemented = "METHOD_NOT_IMPLEMENTED", Unimplemented;
    /// The message is compressed in a way that this server cannot read; `grpc-accept-encoding` has those that it can.
    EncodingUnsupported = "ENCODING_UNSUPPORTED", Unimplemented;
    /// The message is larger than `max_message_bytes`.
    MessageTooLarge = "MESSAGE_TOO_LARGE", ResourceExhausted;
    /// The call's metadata is larger than 16 KiB. (Beyond 64 KiB, HTTP/2 itself answers with 431.)
    HeadersTooLarge = "HEADERS_TOO_LARGE", ResourceExhausted;
    /// The call's deadline passed. A write may have been done; read before you try again.
    DeadlineExceeded = "DEADLINE_EXCEEDED", DeadlineExceeded;
    /// The caller gave up.
    CallCancelled = "CALL_CANCELLED", Cancelled;
    /// Too many large messages come in at the same time. Try again soon, or with smaller ones.
    IntakeFull = "INTAKE_FULL", ResourceExhausted;
    /// The request's message began and then did not go on.
    RequestStalled = "REQUEST_STALLED", DeadlineExceeded;
    /// Too many writes or scans wait already, or so many that the call would not be done by its deadline. Try again after the time in `RetryInfo`.
    QueueFull = "QUEUE_FULL", ResourceExhausted;
    /// The server has more to do than it can. Try again after the time in `RetryInfo`, or another server.
    Overloaded = "OVERLOADED", Unavailable;
    /// Too many passwords wait to be hashed, or so many that the call would not be done by its deadline. Try again after the time in `RetryInfo`.
    HashingBusy = "HASHING_BUSY", ResourceExhausted;
    /// Too many wrong passwords for this account or from this address. Try again after the time in `RetryInfo`.
    AccountLocked = "ACCOUNT_LOCKED", ResourceExhausted;
    /// Too many calls of this class by this caller or from this address. Try again after the time in `RetryInfo`.
    RateLimited = "RATE_LIMITED", ResourceExhausted;
    /// Too many clients are known or watched, this user has too many devices, or this client too many streams.
    ClientLimitReached = "CLIENT_LIMIT_REACHED", ResourceExhausted;
    /// Nothing was heard of the connected client for `presence_timeout`, or it did not read for as long. Connect again.
    HeartbeatMissed = "HEARTBEAT_MISSED", DeadlineExceeded;
    /// The watch was read so slowly that what it has not told is forgotten. Watch again.
    WatchLagged = "WATCH_LAGGED", Aborted;
    /// As many clients watch as `watchers_max` allows. Try again after the time in `RetryInfo`.
    WatcherLimitReached = "WATCHER_LIMIT_REACHED", ResourceExhausted;
    /// There were changes, and the client has read nothing for a minute. Go on from `resume_token` in the metadata.
    WatcherTooSlow = "WATCHER_TOO_SLOW", ResourceExhausted;
    /// The disk under the database is full. Nothing was changed; reads go on.
    DiskFull = "DISK_FULL", ResourceExhausted;
    /// The database cannot be read or written now. Nothing was changed. Try again after the time in `RetryInfo`.
    StoreUnavailable = "STORE_UNAVAILABLE", Unavailable;
    /// The server is stopping. Try again, on another connection; a watch goes on from `resume_token` in the metadata.
    ShuttingDown = "SHUTTING_DOWN", Unavailable;
    /// A mistake of ours. The log has it under the request id.
    Internal = "INTERNAL", Internal;
}

const HEAD: &str = "\
<!-- Written from crates/server/src/ops/reason.rs by `UPDATE_DOCS=1 cargo test -p roster-server --test it errors`. -->

# Errors

Every error is a gRPC status with details (`google.rpc`, [AIP-193](https://google.aip.dev/193)):

- `ErrorInfo`, always: `domain` is `roster`, and `reason` is one of those below. Decide by it: reasons are stable, and
  messages are for people and may change.
- `BadRequest`, with a request that is wrong: every field that is, with what came and what is allowed. Of very many
  violations, those that fit into 4 KiB.
- `ResourceInfo`, where the error is about one user: `user.v1.User` and the id or email that was asked for.
- `RetryInfo`, where trying again helps: how long to wait first.
- `RequestInfo`, with what went wrong inside a method: the request id. Every response carries it as `x-request-id` too,
  and the server's log has it in the line of the call.

";

/// The page `docs/errors.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = format!("{HEAD}| reason | status | meaning |\n| --- | --- | --- |\n");
    for reason in Reason::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | `{}` | {} |", reason.name(), reason.code().name(), reason.doc().trim());
    }
    page
}
