//! What a row of an import makes of a user that exists.

use super::{ImportBatch, ImportUser, RowFailure};
use crate::{
    model::{Actor, User, UserStatus},
    store::Unique,
};

/// What a row changes. A status is a change of its own, after the one of the fields.
pub(in crate::store) struct ImportChange {
    pub(in crate::store) before: User,
    /// With the row's fields, and the status as it was.
    pub(in crate::store) after: User,
    /// The names of the fields that change.
    pub(in crate::store) fields: Vec<&'static str>,
    pub(in crate::store) status: UserStatus,
}

impl ImportChange {
    /// Decides what the row changes of a user, and whether it may. That an administrator is left is the store's to see to.
    ///
    /// # Errors
    /// Why it may not.
    pub(in crate::store) fn plan(batch: &ImportBatch, row: &ImportUser, before: User) -> Result<Self, RowFailure> {
        let is_own = matches!(&batch.meta.actor, Actor::User(actor) if *actor == before.id);
        if let Some(permission) = batch.meta.held.lacks_of(before.role).filter(|_| !is_own) {
            return Err(RowFailure::Refused(permission));
        }
        let (after, fields) = row.patch().apply(&before, batch.meta.at);
        // A stolen token alone is not to become the account: what changes these asks for the password.
        if is_own && (row.has_password || !before.email.eq_ignore_ascii_case(&after.email)) {
            return Err(RowFailure::Own);
        }
        let status = if row.has_status { row.user.status } else { before.status };
        Ok(Self { before, after, fields, status })
    }

    /// The user with all that changes.
    pub(in crate::store) fn becomes(&self) -> User {
        User { status: self.status, ..self.after.clone() }
    }

    /// The keys that the user gives up and takes: of which kind, the old one, the new one.
    pub(super) fn keys(&self) -> [(Unique, &str, &str); 2] {
        [
            (Unique::Email, &self.before.email, &self.after.email),
            (Unique::Username, &self.before.username, &self.after.username),
        ]
    }
}
