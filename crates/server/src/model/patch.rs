//! A change to a user's own fields, already parsed.

use std::collections::BTreeMap;

use super::{Role, Timestamp, User};

/// What to do with the attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AttributesPatch {
    /// Leave them.
    #[default]
    Keep,
    /// These and no others.
    Replace(BTreeMap<String, String>),
    /// Set the keys that have a value, remove those that have none.
    Edit(BTreeMap<String, Option<String>>),
}

impl AttributesPatch {
    /// Does it.
    pub fn apply(&self, attributes: &mut BTreeMap<String, String>) {
        match self {
            Self::Keep => {}
            Self::Replace(all) => attributes.clone_from(all),
            Self::Edit(edits) => {
                for (key, value) in edits {
                    match value {
                        Some(value) => attributes.insert(key.clone(), value.clone()),
                        None => attributes.remove(key),
                    };
                }
            }
        }
    }
}

/// New values for some fields; `None` leaves a field as it is. Empty text clears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPatch {
    /// A new address, which is then not verified unless this patch says so.
    pub email: Option<String>,
    /// A new display name.
    pub name: Option<String>,
    /// A new username.
    pub username: Option<String>,
    /// A new role.
    pub role: Option<Role>,
    /// A new age; `Some(None)` clears it.
    pub age: Option<Option<u8>>,
    /// A new phone number.
    pub phone: Option<String>,
    /// A new locale.
    pub locale: Option<String>,
    /// New attributes.
    pub attributes: AttributesPatch,
    /// Whether the address counts as verified.
    pub email_verified: Option<bool>,
}

impl UserPatch {
    /// The user after this patch and the names of the fields that really changed. With none
    /// changed the user is the one that went in; otherwise its revision is one higher.
    #[must_use]
    pub fn apply(&self, before: &User, at: Timestamp) -> (User, Vec<&'static str>) {
        let mut user = before.clone();
        if let Some(email) = &self.email
            && *email != user.email
        {
            user.email.clone_from(email);
            user.email_verified = false;
        }
        set(&mut user.email_verified, self.email_verified.as_ref());
        set(&mut user.name, self.name.as_ref());
        set(&mut user.username, self.username.as_ref());
        set(&mut user.role, self.role.as_ref());
        set(&mut user.age, self.age.as_ref());
        set(&mut user.phone, self.phone.as_ref());
        set(&mut user.locale, self.locale.as_ref());
        self.attributes.apply(&mut user.attributes);
        let changed = changed_fields(before, &user);
        if !changed.is_empty() {
            user.revision += 1;
            // A clock that was set back must not make a user look older than its last change.
            user.updated_at = at.max(before.updated_at);
        }
        (user, changed)
    }
}

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

/// The API's names of the fields in which two states of a user differ.
fn changed_fields(before: &User, after: &User) -> Vec<&'static str> {
    [
        ("email", before.email != after.email),
        ("name", before.name != after.name),
        ("username", before.username != after.username),
        ("role", before.role != after.role),
        ("age", before.age != after.age),
        ("phone", before.phone != after.phone),
        ("locale", before.locale != after.locale),
        ("attributes", before.attributes != after.attributes),
        ("email_verified", before.email_verified != after.email_verified),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}
