//! What can go wrong in a store, classed by each backend.

use std::fmt;

use crate::{model::Permission, trace::Fault};

/// What must be unique among users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// The id.
    Id,
    /// The email's key.
    Email,
    /// The username's key.
    Username,
}

impl fmt::Display for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "id",
            Self::Email => "email",
            Self::Username => "username",
        })
    }
}

/// Why a command or query failed. Texts are for the log, never for callers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such user, or no such thing of the user.
    #[error("not found")]
    NotFound,
    /// There is the user, but no such thing of the user; where the two are told apart.
    #[error("the user has no such thing")]
    ItemNotFound,
    /// Another user has it.
    #[error("the {0} is taken")]
    Conflict(Unique),
    /// The etag is not the current one any more.
    #[error("the etag is stale")]
    Stale,
    /// The user as it would become breaks a limit that only the whole user shows.
    #[error("{field}: {description}")]
    Rejected {
        /// The field, as in a [`Violation`](crate::model::Violation).
        field: String,
        /// What it would be and what is allowed; for the caller.
        description: String,
    },
    /// There are as many of them as there may be.
    #[error("the limit is reached")]
    LimitReached,
    /// The user is the last active administrator who has a password.
    #[error("the last administrator")]
    LastAdmin,
    /// The change log does not reach back that far any more, or never had what is asked for on this server.
    #[error("the change log was trimmed")]
    Trimmed,
    /// The user's role may do this, and whoever asked does not hold it.
    #[error("the actor lacks {0}, which the user holds")]
    Outranked(Permission),
    /// The call was answered already, so the command was not run.
    #[error("the idempotency key is used")]
    KeyUsed,
    /// The queue is full; the command was not run.
    #[error("the queue is full")]
    Busy,
    /// No room left on the disk; nothing was changed.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The database cannot be reached or failed to read or write; nothing was changed.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database holds something that it should not.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// A mistake of ours.
    #[error("internal: {0}")]
    Internal(String),
}

impl Fault for StoreError {
    fn kind(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::ItemNotFound => "item_not_found",
            Self::Conflict(_) => "conflict",
            Self::Stale => "stale",
            Self::Rejected { .. } => "rejected",
            Self::LimitReached => "limit_reached",
            Self::LastAdmin => "last_admin",
            Self::Trimmed => "trimmed",
            Self::Outranked(_) => "outranked",
            Self::KeyUsed => "key_used",
            Self::Busy => "busy",
            Self::Full(_) => "disk_full",
            Self::Unavailable(_) => "unavailable",
            Self::Corrupt(_) => "corrupt",
            Self::Internal(_) => "internal",
        }
    }

    fn is_ours(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Unavailable(_) | Self::Corrupt(_) | Self::Internal(_))
    }
}
