//! The audit log: the change log as those read it who look for what was done or tried, by whom, and from where.

use super::{Action, ActorKind, Timestamp, UserId};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Place in the log: grows by commit order.
    pub position: i64,
    /// When.
    pub at: Timestamp,
    /// What did it, or tried.
    pub actor: ActorKind,
    /// Which of these: the id of a user or an API key, or a service's name; empty for the others.
    pub actor_id: String,
    /// What.
    pub action: Action,
    /// To whom; `None` for nobody.
    pub user_id: Option<UserId>,
    /// To what, if not to a user, such as `sessions/ID`; empty for nothing.
    pub target: String,
    /// The IP address that the call came from; empty if there is none, or it was that of a user who is deleted.
    pub remote_address: String,
    /// The call.
    pub request_id: String,
    /// The reason of the error, if there was one.
    pub reason: String,
    /// Names of the fields that changed.
    pub fields: Vec<String>,
}

/// Whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// It was.
    Done,
    /// It was not.
    Refused,
}

impl AuditOutcome {
    /// Both with the names that filters use.
    pub const ALL: &[(Self, &str)] = &[(Self::Done, "DONE"), (Self::Refused, "REFUSED")];
}

impl AuditEvent {
    /// Whether it was done.
    #[must_use]
    pub fn outcome(&self) -> AuditOutcome {
        if self.action.is_refusal() { AuditOutcome::Refused } else { AuditOutcome::Done }
    }
}

impl std::fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::ALL.iter().find(|(outcome, _)| outcome == self).map_or("", |(_, name)| name))
    }
}
