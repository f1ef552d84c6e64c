//! The one error that the faces see.

use std::time::Duration;

use super::Reason;
use crate::{
    auth::{AuthError, HashError, Refusal},
    model::{AddressId, UserId, Violation, Violations},
    store::{StoreError, Unique},
    trace::Fault,
};

/// How long a caller should wait before it tries a full queue or a missing database again.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// What has an etag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A user.
    User,
    /// An address of a user.
    Address,
    /// The preferences of a user.
    Preferences,
}

/// Why a use case did not do what was asked. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields are wrong.
    #[error("the request is invalid")]
    Invalid(Violations),
    /// There is no such user. `field` and `value` are what it was looked for by.
    #[error("user not found")]
    UserNotFound {
        /// `id` or `email`.
        field: &'static str,
        /// As the caller gave it, parsed.
        value: String,
    },
    /// Another user has it.
    #[error("the {0} is taken")]
    Taken(Unique),
    /// It has changed since.
    #[error("the etag is stale")]
    StaleEtag {
        /// What has changed.
        resource: Resource,
        /// Its id; for preferences, that of their user.
        id: String,
    },
    /// There is no such thing beside or below a user.
    #[error("not found")]
    Missing {
        /// What is missing.
        reason: Reason,
        /// The id that was asked for.
        id: String,
    },
    /// Things are not as the call needs them; `reason` says which.
    #[error("precondition: {0:?}")]
    Precondition(Reason),
    /// The caller may not.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// What the caller shows to prove who it is proves nothing; `reason` says what it was. One answer, whatever is wrong.
    #[error("not authenticated: {0:?}")]
    Unauthenticated(Reason),
    /// What `reason` says, and nothing else is to be told.
    #[error("{0:?}")]
    Plain(Reason),
    /// Sign-up is closed.
    #[error("sign-up is closed")]
    SignUpClosed,
    /// The token of a mailed link is not valid, for whatever reason.
    #[error("the token is not valid")]
    TokenInvalid,
    /// The idempotency key was used for another request.
    #[error("the idempotency key is reused")]
    KeyReused,
    /// The current password is another.
    #[error("the password is wrong")]
    PasswordWrong,
    /// Too many wrong passwords.
    #[error("locked")]
    AccountLocked {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many calls.
    #[error("rate limited")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// As many watch as there may.
    #[error("as many watch as there may")]
    TooManyWatchers {
        /// When to try again.
        retry_after: Duration,
    },
    /// A watch ends before its client has ended it; `reason` says why.
    #[error("the watch ends: {reason:?}")]
    WatchEnded {
        /// Why.
        reason: Reason,
        /// Where to go on.
        resume_token: String,
    },
    /// The hashing pool is full.
    #[error("the hashing pool is full")]
    HashingBusy {
        /// When there should be room.
        retry_after: Duration,
    },
    /// The store's queue is full.
    #[error("the store's queue is full")]
    QueueFull {
        /// When there should be room.
        retry_after: Duration,
    },
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull(#[source] StoreError),
    /// The store cannot be reached.
    #[error("the store is unavailable")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
        /// For the log.
        #[source]
        source: StoreError,
    },
    /// A mistake of ours, or a damaged database. The text is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

impl Fault for Error {
    fn kind(&self) -> &'static str {
        self.reason().name()
    }

    fn is_ours(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::Unavailable { .. } | Self::Internal(_))
    }
}

impl Error {
    /// The reason that callers see.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Invalid(violations) => reason_of(violations),
            Self::UserNotFound { .. } => Reason::UserNotFound,
            Self::Taken(Unique::Id) => Reason::UserIdTaken,
            Self::Taken(Unique::Email) => Reason::EmailTaken,
            Self::Taken(Unique::Username) => Reason::UsernameTaken,
            Self::StaleEtag { .. } => Reason::EtagMismatch,
            Self::Missing { reason, .. }
            | Self::Precondition(reason)
            | Self::Unauthenticated(reason)
            | Self::Plain(reason) => *reason,
            Self::SignUpClosed => Reason::SignUpClosed,
            Self::TokenInvalid => Reason::TokenInvalid,
            Self::KeyReused => Reason::IdempotencyKeyReused,
            Self::PasswordWrong => Reason::PasswordWrong,
            Self::AccountLocked { .. } => Reason::AccountLocked,
            Self::RateLimited { .. } => Reason::RateLimited,
            Self::TooManyWatchers { .. } => Reason::WatcherLimitReached,
            Self::WatchEnded { reason, .. } => *reason,
            Self::Refused(Refusal::NotSignedIn) => Reason::CredentialsMissing,
            Self::Refused(Refusal::Lacks(_)) => Reason::PermissionDenied,
            Self::HashingBusy { .. } => Reason::HashingBusy,
            Self::QueueFull { .. } => Reason::QueueFull,
            Self::DiskFull(_) => Reason::DiskFull,
            Self::Unavailable { .. } => Reason::StoreUnavailable,
            Self::Internal(_) => Reason::Internal,
        }
    }

    /// What a failed command on a known user means.
    pub(super) fn for_user(user_id: &UserId) -> impl FnOnce(StoreError) -> Self + '_ {
        move |error| match error {
            StoreError::NotFound => Self::UserNotFound { field: "id", value: user_id.to_string() },
            StoreError::Stale => Self::StaleEtag { resource: Resource::User, id: user_id.to_string() },
            other => other.into(),
        }
    }

    /// What a failed command or query on a known user's address means.
    pub(super) fn for_address(user_id: &UserId, id: AddressId) -> impl FnOnce(StoreError) -> Self + '_ {
        move |error| match error {
            StoreError::ItemNotFound => Self::Missing { reason: Reason::AddressNotFound, id: id.to_string() },
            StoreError::Stale => Self::StaleEtag { resource: Resource::Address, id: id.to_string() },
            StoreError::LimitReached => Self::Precondition(Reason::AddressLimitReached),
            other => Self::for_user(user_id)(other),
        }
    }

    /// What a failed command on a known user's preferences means.
    pub(super) fn for_preferences(user_id: &UserId) -> impl FnOnce(StoreError) -> Self + '_ {
        move |error| match error {
            StoreError::Stale => Self::StaleEtag { resource: Resource::Preferences, id: user_id.to_string() },
            other => Self::for_user(user_id)(other),
        }
    }
}

/// The reason of its own that a field has, if it alone is wrong.
fn reason_of(violations: &Violations) -> Reason {
    let mut fields = violations.iter().map(|violation| violation.field.as_str());
    match (fields.next(), fields.next()) {
        (Some("filter"), None) => Reason::FilterInvalid,
        (Some("order_by"), None) => Reason::OrderByInvalid,
        (Some("page_token"), None) => Reason::PageTokenInvalid,
        (Some("resume_token"), None) => Reason::ResumeTokenInvalid,
        _ => Reason::ValidationFailed,
    }
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid => Self::Unauthenticated(Reason::CredentialsInvalid),
            AuthError::Store(error) => error.into(),
        }
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy { retry_after } => Self::HashingBusy { retry_after },
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(unique) => Self::Taken(unique),
            StoreError::Rejected { field, description } => {
                let mut violations = Violations::new();
                violations.push(Violation { field, description });
                Self::Invalid(violations)
            }
            StoreError::Outranked(permission) => Self::Refused(Refusal::Lacks(permission)),
            StoreError::LastAdmin => Self::Precondition(Reason::LastAdmin),
            StoreError::Trimmed => Self::Precondition(Reason::ResumeTokenExpired),
            StoreError::Busy => Self::QueueFull { retry_after: RETRY_AFTER },
            StoreError::Full(_) => Self::DiskFull(error),
            // Of an answer that was there a moment ago and is not any more.
            StoreError::Unavailable(_) | StoreError::KeyUsed => {
                Self::Unavailable { retry_after: RETRY_AFTER, source: error }
            }
            // What is not found, stale or full has a name that only the use case knows: see `for_user`.
            StoreError::NotFound
            | StoreError::ItemNotFound
            | StoreError::Stale
            | StoreError::LimitReached
            | StoreError::Corrupt(_)
            | StoreError::Internal(_) => Self::Internal(error.to_string()),
        }
    }
}
