//! The user as every layer sees it. Secrets are not part of it.

use std::{collections::BTreeMap, fmt};

use super::{Timestamp, UserId, etag::etag};

/// A user. Credentials live apart, so that no query or message about users can hold one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Immutable.
    pub id: UserId,
    /// As it was given, in NFC. Unique by its key: see [`super::text::unique_key`].
    pub email: String,
    /// Display name; empty if there is none.
    pub name: String,
    /// Unique by its key; empty if there is none.
    pub username: String,
    /// What the user may do.
    pub role: Role,
    /// Whether the user may sign in.
    pub status: UserStatus,
    /// Years, 0 to 150.
    pub age: Option<u8>,
    /// E.164, such as `+4930123456`; empty if there is none.
    pub phone: String,
    /// BCP 47, such as `de-CH`; empty if there is none.
    pub locale: String,
    /// Free keys that the platform hangs on its users.
    pub attributes: BTreeMap<String, String>,
    /// Whether the user has shown that the address is theirs.
    pub email_verified: bool,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When the user last changed.
    pub updated_at: Timestamp,
    /// 1 at creation, one more with each change.
    pub revision: i64,
}

impl User {
    /// The etag ([AIP-154](https://google.aip.dev/154)): changes with every change, and differs from
    /// that of an earlier user with the same id.
    #[must_use]
    pub fn etag(&self) -> String {
        etag(self.created_at, self.revision)
    }

    /// The user as those see it who may not read the private fields of others: age, phone and attributes.
    #[must_use]
    pub fn without_private(self) -> Self {
        Self { age: None, phone: String::new(), attributes: BTreeMap::new(), ..self }
    }

    /// The revision that an etag of [`User::etag`] tells.
    #[must_use]
    pub fn revision_in(etag: &str) -> Option<i64> {
        let (revision, _) = etag.split_once('-')?;
        u64::from_str_radix(revision, 16).ok().map(u64::cast_signed)
    }
}

/// Whether a user may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserStatus {
    /// May sign in.
    Active = 1,
    /// Deactivated: kept, but may not sign in.
    Inactive = 2,
}

/// What a user may do. Numbers are those of the API's `Role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Themselves only.
    User = 1,
    /// Everything.
    Admin = 2,
    /// Looks after other users.
    Moderator = 3,
}

impl UserStatus {
    /// All values with the names that filters use.
    pub const ALL: &[(Self, &str)] = &[(Self::Active, "ACTIVE"), (Self::Inactive, "INACTIVE")];
}

impl Role {
    /// All values with the names that filters use.
    pub const ALL: &[(Self, &str)] = &[(Self::User, "USER"), (Self::Admin, "ADMIN"), (Self::Moderator, "MODERATOR")];
}

impl UserStatus {
    /// The status with this number of the API's `UserStatus`.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().map(|(status, _)| *status).find(|status| *status as i32 == number)
    }
}

impl Role {
    /// The role with this number of the API's `Role`.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().map(|(role, _)| *role).find(|role| *role as i32 == number)
    }
}

impl fmt::Display for UserStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(value, _)| value == self).map_or("", |(_, name)| name))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(value, _)| value == self).map_or("", |(_, name)| name))
    }
}
