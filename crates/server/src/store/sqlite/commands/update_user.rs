//! Changes a user's own fields.

use rusqlite::{Connection, params};

use super::{current_user, keep_an_admin, log_change};
use crate::{
    model::{Action, ChangeMeta, User, UserId, UserPatch, inputs},
    store::{
        Ended, StoreError, StoredUser,
        sqlite::{row::Derived, writer::Command},
    },
};

/// See [`crate::store::Store::update_user`].
pub(in crate::store::sqlite) struct UpdateUser {
    pub(in crate::store::sqlite) id: UserId,
    pub(in crate::store::sqlite) patch: UserPatch,
    pub(in crate::store::sqlite) etag: Option<String>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for UpdateUser {
    type Output = StoredUser;

    fn run(&self, connection: &Connection) -> Result<StoredUser, StoreError> {
        let (pk, before, stored) = current_user(connection, &self.id, self.etag.as_deref())?;
        let (user, changed) = self.patch.apply(&before, self.meta.at);
        // Keys can be added one by one, so only the user as it becomes shows whether they are too many.
        inputs::check_attributes_size(&user.attributes)
            .map_err(|description| StoreError::Rejected { field: "attributes".into(), description })?;
        if changed.is_empty() {
            return Ok(stored);
        }
        keep_an_admin(connection, &before, Some(&user), &self.meta)?;
        let derived = Derived::of(&user)?;
        write(connection, &user, &derived)?;
        log_change(connection, Action::Updated, (pk, &user), Some(&derived.stored), &changed, &self.meta)?;
        Ok(derived.stored)
    }

    fn ends(&self, _: &StoredUser) -> Vec<Ended> {
        // Only the role is part of what a grant lets its holder do.
        if self.patch.role.is_some() { vec![Ended::User(self.id.clone())] } else { Vec::new() }
    }

    fn keep(&self) -> bool {
        !self.meta.validate_only
    }

    fn touches(&self) -> Option<&UserId> {
        Some(&self.id)
    }

    fn user_after(user: &StoredUser) -> Option<&StoredUser> {
        Some(user)
    }
}

fn write(connection: &Connection, user: &User, derived: &Derived) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE users SET email = ?2, email_key = ?3, username = ?4, username_key = ?5, name = ?6, name_key = ?7,
                              role = ?8, age = ?9, phone = ?10, locale = ?11, attributes = ?12, email_verified = ?13,
                              updated_at = ?14, revision = ?15, search_text = ?16,
                              message = ?17
             WHERE id = ?1",
        )?
        .execute(params![
            user.id,
            user.email,
            derived.email_key,
            user.username,
            derived.username_key,
            user.name,
            derived.name_key,
            user.role as i64,
            user.age,
            user.phone,
            user.locale,
            derived.attributes,
            user.email_verified,
            user.updated_at,
            user.revision,
            derived.search_text,
            derived.stored,
        ])?;
    Ok(())
}
