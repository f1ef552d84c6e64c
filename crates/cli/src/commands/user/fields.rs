//! What several commands take: roles and attributes.

use clap::ValueEnum;
use roster_api::user::v1 as pb;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Themselves only
    User,
    /// Look after other users
    Moderator,
    /// Everything
    Admin,
}

impl From<Role> for pb::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Moderator => Self::Moderator,
            Role::Admin => Self::Admin,
        }
    }
}

/// `KEY=VALUE`; the value may hold further `=` and may be empty.
pub fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it takes KEY=VALUE, such as team=core".to_owned()),
    }
}
