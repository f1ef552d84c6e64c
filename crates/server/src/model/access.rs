//! What lets somebody call without a password: sessions of users and API keys of services.

use super::{PermissionSet, Role, Timestamp, UserId};

macro_rules! uuid_id {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// The id in canonical text, in either case; `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() == 36).then(|| uuid::Uuid::try_parse(text).ok().map(Self))?
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
pub(super) use uuid_id;

uuid_id! {
    /// Names a session: a UUIDv7.
    SessionId
}
uuid_id! {
    /// Names an API key: a UUIDv7. Not secret; the key itself has it in its prefix.
    ApiKeyId
}

/// A sign-in on one device, until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Unique.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// What the client calls itself; at most 100 characters.
    pub device: String,
    /// The IP address of the last use.
    pub remote_address: String,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Timestamp,
    /// When it ends if it is not used.
    pub expires_at: Timestamp,
}

/// A key by which a service calls, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Unique.
    pub id: ApiKeyId,
    /// What it is for; at most 100 characters.
    pub name: String,
    /// How the key starts.
    pub prefix: String,
    /// What it was given.
    pub scopes: PermissionSet,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// The user who made it; `None` for an operator.
    pub created_by: Option<UserId>,
}

/// What a session or an API key lets its holder do now, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A session of an active user.
    Session {
        /// The session.
        id: SessionId,
        /// Whose it is.
        user_id: UserId,
        /// The user's role.
        role: Role,
        /// When it ends if it is not used.
        expires_at: Timestamp,
    },
    /// An API key that is not revoked.
    ApiKey {
        /// The key.
        id: ApiKeyId,
        /// What it may do: its scopes, as far as its creator may still give them.
        permissions: PermissionSet,
        /// Who made it, whose role bounds it; `None` for an operator.
        created_by: Option<UserId>,
        /// When it ends.
        expires_at: Option<Timestamp>,
    },
}

impl Grant {
    /// When it ends; `None` for never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Session { expires_at, .. } => Some(*expires_at),
            Self::ApiKey { expires_at, .. } => *expires_at,
        }
    }
}
