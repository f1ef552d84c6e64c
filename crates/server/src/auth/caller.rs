//! Who calls, and what they may do.

use roster_api::access::AccessRule;

use crate::model::{Actor, UserId};

/// The caller of one RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody that we know.
    Anonymous,
    /// Anybody, on a server that was started with `--dev`: an administrator.
    Developer,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller must sign in first.
    NotSignedIn,
    /// The caller lacks this permission.
    Lacks(&'static str),
}

impl Caller {
    /// What the rule of a method alone can decide. Where it depends on the request, [`Caller::check_self_or`] goes on.
    ///
    /// # Errors
    /// Why the caller may not go on.
    pub fn check_rule(&self, rule: AccessRule) -> Result<(), Refusal> {
        match (rule, self) {
            (AccessRule::Public, _) | (_, Self::Developer) => Ok(()),
            (_, Self::Anonymous) => Err(Refusal::NotSignedIn),
        }
    }

    /// Whether the caller holds `permission`.
    ///
    /// # Errors
    /// Why the caller may not go on.
    pub fn check(&self, permission: &'static str) -> Result<(), Refusal> {
        match self {
            Self::Developer => Ok(()),
            Self::Anonymous => Err(Refusal::Lacks(permission)),
        }
    }

    /// Whether the caller is this user or holds `permission`.
    ///
    /// # Errors
    /// Why the caller may not go on.
    pub fn check_self_or(&self, _user: &UserId, permission: &'static str) -> Result<(), Refusal> {
        self.check(permission)
    }

    /// The caller as the change log names it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Anonymous => Actor::Anonymous,
            Self::Developer => Actor::Developer,
        }
    }
}
