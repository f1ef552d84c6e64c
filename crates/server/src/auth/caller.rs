//! Who calls, and what they may do.

use std::sync::Arc;

use roster_api::access::AccessRule;

use crate::{
    model::{Actor, Grant, Permission, PermissionSet, SessionId, Timestamp, UserId},
    store::Live,
};

/// The caller of one RPC. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody that we know.
    Anonymous,
    /// Anybody, on a server that was started with `--dev`: an administrator.
    Developer,
    /// This machine's operator, on the command line: everything, and no rule about roles binds them.
    Operator,
    /// A user with a session, or a service with an API key.
    Granted(Arc<Live>),
    /// A service that showed a client certificate.
    Service(Arc<Service>),
}

/// A service, as its client certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The name in the certificate.
    pub name: Arc<str>,
    /// What the configuration lets it do.
    pub permissions: PermissionSet,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller must sign in first.
    NotSignedIn,
    /// The caller lacks this permission.
    Lacks(Permission),
}

impl Caller {
    /// What the caller may do to others.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        match self {
            Self::Anonymous => PermissionSet::NONE,
            Self::Developer | Self::Operator => PermissionSet::ALL,
            Self::Service(service) => service.permissions,
            Self::Granted(live) => match &live.grant {
                Grant::Session { role, .. } => PermissionSet::of_role(*role),
                Grant::ApiKey { permissions, .. } => *permissions,
            },
        }
    }

    /// The user who calls; `None` for a service, an operator, a developer, and nobody.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        match self {
            Self::Granted(live) => match &live.grant {
                Grant::Session { user_id, .. } => Some(user_id),
                Grant::ApiKey { .. } => None,
            },
            _ => None,
        }
    }

    /// The session that the call is made with.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        match self {
            Self::Granted(live) => match &live.grant {
                Grant::Session { id, .. } => Some(*id),
                Grant::ApiKey { .. } => None,
            },
            _ => None,
        }
    }

    /// Whether the session or key that the call was made with has ended since, as far as is known.
    #[must_use]
    pub fn has_lost_its_grant(&self, now: Timestamp) -> bool {
        match self {
            Self::Granted(live) => {
                let ended = !live.stands() && !live.is_in_doubt();
                ended || live.grant.expires_at().is_some_and(|end| end <= now)
            }
            _ => false,
        }
    }

    /// What the rule of a method alone can decide. Where it depends on the request, [`Caller::check_self_or`] goes on.
    ///
    /// # Errors
    /// Why the caller may not go on.
    pub fn check_rule(&self, rule: AccessRule) -> Result<(), Refusal> {
        match (rule, self) {
            (AccessRule::Public, _) => Ok(()),
            (_, Self::Anonymous) => Err(Refusal::NotSignedIn),
            (AccessRule::SignedIn, _) => Ok(()),
            // A user may name themselves; anybody else needs the permission whatever the request names.
            (AccessRule::SelfOr(_), caller) if caller.user_id().is_some() => Ok(()),
            (AccessRule::SelfOr(name) | AccessRule::Permission(name), caller) => match Permission::find(name) {
                Some(permission) => caller.check(permission),
                // A test holds that every rule names a permission that there is.
                None => Err(Refusal::NotSignedIn),
            },
        }
    }

    /// Whether the caller holds `permission`.
    ///
    /// # Errors
    /// Why the caller may not go on.
    pub fn check(&self, permission: Permission) -> Result<(), Refusal> {
        if self.permissions().has(permission) { Ok(()) } else { Err(Refusal::Lacks(permission)) }
    }

    /// Whether the caller is this user or holds `permission`.
    ///
    /// # Errors
    /// Why the caller may not go on.
    pub fn check_self_or(&self, user: &UserId, permission: Permission) -> Result<(), Refusal> {
        if self.user_id() == Some(user) { Ok(()) } else { self.check(permission) }
    }

    /// The caller as the change log names it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Anonymous => Actor::Anonymous,
            Self::Developer => Actor::Developer,
            Self::Operator => Actor::System,
            Self::Service(service) => Actor::Service(Arc::clone(&service.name)),
            Self::Granted(live) => match &live.grant {
                Grant::Session { user_id, .. } => Actor::User(user_id.clone()),
                Grant::ApiKey { id, .. } => Actor::ApiKey(*id),
            },
        }
    }
}
