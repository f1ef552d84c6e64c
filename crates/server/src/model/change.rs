//! The change log's vocabulary: who did what to whom, when, in which call.

use super::{Timestamp, User, UserId};

/// What happened to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The user came to be.
    Created,
    /// Fields changed.
    Updated,
    /// May no longer sign in.
    Deactivated,
    /// May sign in again.
    Reactivated,
    /// Gone for good.
    Deleted,
}

impl Action {
    /// All actions with their stored names.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Created, "created"),
        (Self::Updated, "updated"),
        (Self::Deactivated, "deactivated"),
        (Self::Reactivated, "reactivated"),
        (Self::Deleted, "deleted"),
    ];

    /// The stored name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(action, _)| *action == self).map_or("", |(_, name)| name)
    }
}

/// Who did it, as the change log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A caller who did not sign in.
    Anonymous,
    /// The caller of a `--dev` server.
    Developer,
    /// A signed-in user.
    User(UserId),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Developer => f.write_str("developer"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

/// What every write carries into its change-log row.
#[derive(Clone, Debug)]
pub struct ChangeMeta {
    /// The time of the change; also the user's new `updated_at`.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// The `x-request-id` of the call.
    pub request_id: String,
    /// Do everything but keep nothing ([AIP-163](https://google.aip.dev/163)).
    pub validate_only: bool,
}

/// One row of the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place in the log: grows by commit order.
    pub position: i64,
    /// When.
    pub at: Timestamp,
    /// Who: an [`Actor`] in text.
    pub actor: String,
    /// What.
    pub action: Action,
    /// Whom.
    pub user_id: UserId,
    /// The user's revision after the change.
    pub revision: i64,
    /// The call.
    pub request_id: String,
    /// Names of the fields that changed, for [`Action::Updated`].
    pub fields: Vec<String>,
    /// The user after the change; `None` once the user is deleted and the log is scrubbed.
    pub after: Option<User>,
}
