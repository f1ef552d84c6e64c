//! Changes a user's own fields.

use rusqlite::{Connection, params};

use super::{change_user::Change, keep_an_admin, log_change};
use crate::{
    model::{Action, ChangeMeta, User, UserPatch},
    store::{
        StoreError, StoredUser,
        commands::{UserAfter, patched},
        derived::Derived,
    },
};

impl Change for UserPatch {
    fn apply(
        &self,
        connection: &Connection,
        (pk, before, stored): (i64, User, StoredUser),
        meta: &ChangeMeta,
    ) -> Result<UserAfter, StoreError> {
        let (user, changed) = patched(self, &before, meta.at)?;
        if changed.is_empty() {
            return Ok(UserAfter { user: stored, ends_grants: false });
        }
        keep_an_admin(connection, (pk, &before), Some(&user), meta)?;
        let derived = Derived::of(&user)?;
        write(connection, &user, &derived)?;
        let images = (Some(&stored), Some(&derived.stored));
        log_change(connection, Action::Updated, (pk, &user), images, &changed, meta)?;
        // Only the role is part of what a grant lets its holder do.
        Ok(UserAfter { user: derived.stored, ends_grants: user.role != before.role })
    }
}

/// Writes the row of a user whose fields have changed. A conflict leaves nothing behind.
pub(super) fn write(connection: &Connection, user: &User, derived: &Derived) -> Result<(), StoreError> {
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
