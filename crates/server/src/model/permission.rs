//! What a caller may be allowed: named permissions, sets of them, and the set of each role.

use std::fmt;

use super::Role;

macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// One thing that a caller may be allowed. The access rules of the protos and the scopes of API keys name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Permission { $($(#[doc = $doc])+ $variant,)+ }

        impl Permission {
            /// All permissions, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name, such as `users.read`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it allows.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+),)+ }
            }
        }
    };
}

permissions! {
    /// Read any user.
    UsersRead = "users.read",
    /// Read the age, phone and attributes of any user too.
    UsersReadPrivate = "users.read_private",
    /// List and search users.
    UsersList = "users.list",
    /// Create users with a chosen id, role, password hash or verified address, and while sign-up is closed.
    UsersCreate = "users.create",
    /// Change any user, roles included.
    UsersUpdate = "users.update",
    /// Delete any user.
    UsersDelete = "users.delete",
    /// Deactivate and reactivate any user.
    UsersDeactivate = "users.deactivate",
    /// Import users.
    UsersImport = "users.import",
    /// Export users.
    UsersExport = "users.export",
    /// Watch every change of users.
    UsersWatch = "users.watch",
    /// Read any user's addresses.
    AddressesRead = "addresses.read",
    /// Change any user's addresses.
    AddressesWrite = "addresses.write",
    /// Read any user's preferences.
    PreferencesRead = "preferences.read",
    /// Change any user's preferences.
    PreferencesWrite = "preferences.write",
    /// Set any user's password.
    PasswordsWrite = "passwords.write",
    /// See any user's sessions.
    SessionsRead = "sessions.read",
    /// End any user's sessions.
    SessionsRevoke = "sessions.revoke",
    /// See the API keys.
    ApiKeysRead = "api_keys.read",
    /// Create and revoke API keys.
    ApiKeysWrite = "api_keys.write",
    /// Read the audit log.
    AuditRead = "audit.read",
    /// See who is online.
    PresenceRead = "presence.read",
    /// Speak for any client id.
    PresenceWrite = "presence.write",
    /// Read the outbox, on a server for development.
    MailRead = "mail.read",
    /// Rotate the keys that sign access tokens.
    KeysRotate = "keys.rotate",
}

impl Permission {
    /// The permission of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.name() == name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct PermissionSet(u64);

impl PermissionSet {
    /// None.
    pub const NONE: Self = Self(0);
    /// All there are.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);

    /// These.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < permissions.len() {
            bits |= 1 << permissions[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    /// What the role may do.
    #[must_use]
    pub const fn of_role(role: Role) -> Self {
        const MODERATOR: PermissionSet = PermissionSet::of(&[
            Permission::UsersRead,
            Permission::UsersList,
            Permission::UsersDeactivate,
            Permission::SessionsRead,
            Permission::SessionsRevoke,
            Permission::PresenceRead,
        ]);
        match role {
            // What belongs to the user alone needs no permission.
            Role::User => Self::NONE,
            Role::Moderator => MODERATOR,
            Role::Admin => Self::ALL,
        }
    }

    /// Whether `permission` is in it.
    #[must_use]
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// The first permission of the role that is not in it; `None` if all of them are.
    #[must_use]
    pub fn lacks_of(self, role: Role) -> Option<Permission> {
        Self::of_role(role).iter().find(|permission| !self.has(*permission))
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those in it, in the order of the reference.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.has(*permission))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | 1 << permission as u8))
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_a_name_of_its_own_and_is_in_the_set_of_all() {
        for permission in Permission::ALL {
            assert_eq!(Permission::find(permission.name()), Some(*permission));
            assert!(PermissionSet::ALL.has(*permission) && !PermissionSet::NONE.has(*permission));
        }
        let two = PermissionSet::of(&[Permission::UsersList, Permission::KeysRotate]);
        assert_eq!(two.iter().collect::<PermissionSet>(), two);
        assert_eq!(format!("{two:?}"), r#"{"users.list", "keys.rotate"}"#);
    }
}
