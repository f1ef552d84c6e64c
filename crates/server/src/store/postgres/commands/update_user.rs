//! Changes a user's own fields.

use super::{Command, UserAfter, keep_an_admin, log_change, ruled_user};
use crate::{
    model::{Action, ChangeMeta, User, UserId, UserPatch, inputs},
    store::{
        Ended, StoreError,
        answers::Kept,
        derived::Derived,
        postgres::{tx::Tx, value::params},
    },
};

/// See [`crate::store::Store::update_user`].
pub(in crate::store::postgres) struct UpdateUser {
    pub(in crate::store::postgres) id: UserId,
    pub(in crate::store::postgres) patch: UserPatch,
    pub(in crate::store::postgres) etag: Option<String>,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for UpdateUser {
    type Output = UserAfter;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<UserAfter, StoreError> {
        let (pk, before, stored) = ruled_user(tx, &self.id, self.etag.as_deref(), &self.meta).await?;
        let (user, changed) = self.patch.apply(&before, self.meta.at);
        // Keys can be added one by one, so only the user as it becomes shows whether they are too many.
        inputs::check_attributes_size(&user.attributes)
            .map_err(|description| StoreError::Rejected { field: "attributes".into(), description })?;
        if changed.is_empty() {
            return Ok(UserAfter { user: stored, ends_grants: false });
        }
        keep_an_admin(tx, (pk, &before), Some(&user), &self.meta).await?;
        let derived = Derived::of(&user)?;
        write(tx, pk, &user, &derived);
        log_change(tx, Action::Updated, &user, (Some(&stored), Some(&derived.stored)), &changed, &self.meta)?;
        // Only the role is part of what a grant lets its holder do.
        Ok(UserAfter { user: derived.stored, ends_grants: user.role != before.role })
    }

    fn ends(&self, after: &UserAfter) -> Vec<Ended> {
        after.ends_grants.then(|| Ended::User(self.id.clone())).into_iter().collect()
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, after: &UserAfter) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.id, &after.user)
    }
}

/// Writes the row of a user whose fields have changed. A conflict fails the transaction.
pub(super) fn write(tx: &mut Tx<'_>, pk: i64, user: &User, derived: &Derived) {
    const SQL: &str = "UPDATE users SET email = $2, email_key = $3, username = $4, username_key = $5, name = $6,
                            name_key = $7, role = $8, age = $9, phone = $10, locale = $11, attributes = $12,
                            email_verified = $13, updated_at = $14, revision = $15, search_text = $16, message = $17
         WHERE pk = $1";
    let values = params![
        pk,
        &user.email,
        &derived.email_key,
        &user.username,
        derived.username_key.clone(),
        &user.name,
        &derived.name_key,
        user.role as i64,
        user.age,
        &user.phone,
        &user.locale,
        &derived.attributes,
        user.email_verified,
        user.updated_at,
        user.revision,
        &derived.search_text,
        &derived.stored,
    ];
    tx.queue(SQL, values);
}
