//! Adds, changes and removes users; whom an actor may rule over, and when an administrator would be missed.

use super::{Command, ShowUser, check_etag};
use crate::{
    model::{Action, Actor, ChangeMeta, Role, Timestamp, User, UserId, UserPatch, UserStatus, inputs},
    store::{Ended, NewUser, StoreError, StoredUser, answers::Kept, derived::Derived},
};

/// See [`crate::store::Store::create_user`].
pub struct CreateUser {
    pub new: NewUser,
    pub derived: Derived,
    pub meta: ChangeMeta,
}

impl CreateUser {
    /// Readies all that can be made without the database.
    pub fn new(new: NewUser, meta: ChangeMeta) -> Result<Self, StoreError> {
        Ok(Self { derived: Derived::of(&new.user)?, new, meta })
    }
}

impl Command for CreateUser {
    type Output = StoredUser;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, user: &StoredUser) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.new.user.id, user)
    }

    fn show_users<'a>(&'a self, user: &'a StoredUser, show: &mut ShowUser<'_, 'a>) {
        show(&self.new.user.id, Some(user));
    }
}

/// See [`crate::store::Store::update_user`] and [`set_user_status`](crate::store::Store::set_user_status): `change` is what
/// is changed.
pub struct ChangeUser<C> {
    pub id: UserId,
    pub change: C,
    pub etag: Option<String>,
    pub meta: ChangeMeta,
}

/// A user after a command that may have changed what their grants are good for.
pub struct UserAfter {
    pub user: StoredUser,
    /// Whether it has.
    pub ends_grants: bool,
}

impl<C: Send + 'static> Command for ChangeUser<C> {
    type Output = UserAfter;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, after: &UserAfter) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.id, &after.user)
    }

    fn ends(&self, after: &UserAfter) -> Vec<Ended> {
        after.ends_grants.then(|| Ended::User(self.id.clone())).into_iter().collect()
    }

    fn show_users<'a>(&'a self, after: &'a UserAfter, show: &mut ShowUser<'_, 'a>) {
        show(&self.id, Some(&after.user));
    }
}

/// The user with the patch, and the names of the fields that change.
pub fn patched(patch: &UserPatch, before: &User, at: Timestamp) -> Result<(User, Vec<&'static str>), StoreError> {
    let (user, changed) = patch.apply(before, at);
    // Keys can be added one by one, so only the user as it becomes shows whether they are too many.
    inputs::check_attributes_size(&user.attributes)
        .map_err(|description| StoreError::Rejected { field: "attributes".into(), description })?;
    Ok((user, changed))
}

/// The user with a status that is another than theirs, the same to be stored, and what it is called in the log.
pub fn with_status(before: &User, status: UserStatus, at: Timestamp) -> (User, StoredUser, Action) {
    let updated_at = at.max(before.updated_at);
    let user = User { status, revision: before.revision + 1, updated_at, ..before.clone() };
    let stored = StoredUser::of(&user);
    let action = match status {
        UserStatus::Active => Action::Reactivated,
        UserStatus::Inactive => Action::Deactivated,
    };
    (user, stored, action)
}

/// See [`crate::store::Store::delete_user`].
pub struct DeleteUser {
    pub id: UserId,
    pub etag: Option<String>,
    pub meta: ChangeMeta,
}

impl DeleteUser {
    /// What the log keeps of the call: of users who delete themselves, not from where.
    pub fn kept_meta(&self) -> ChangeMeta {
        let mut meta = self.meta.clone();
        if meta.actor == Actor::User(self.id.clone()) {
            meta.remote_address.clear();
        }
        meta
    }
}

impl Command for DeleteUser {
    type Output = ();

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, deleted: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(deleted)
    }

    fn ends(&self, (): &()) -> Vec<Ended> {
        vec![Ended::User(self.id.clone())]
    }

    fn show_users<'a>(&'a self, (): &'a (), show: &mut ShowUser<'_, 'a>) {
        show(&self.id, None);
    }
}

/// Refuses whoever acts on another user and does not hold all that their role may do: one permission is not to become
/// all of them by way of somebody who holds them. Asked within the transaction, or a promotion could come between.
pub fn check_rank(id: &UserId, role: Role, meta: &ChangeMeta) -> Result<(), StoreError> {
    let is_own = matches!(&meta.actor, Actor::User(actor) if actor == id);
    let lacking = meta.held.lacks_of(role).filter(|_| !is_own);
    lacking.map_or(Ok(()), |permission| Err(StoreError::Outranked(permission)))
}

/// Refuses whoever may not rule over the user, and then who last saw another etag.
pub fn check_ruled(user: &User, etag: Option<&str>, meta: &ChangeMeta) -> Result<(), StoreError> {
    check_rank(&user.id, user.role, meta)?;
    check_etag(etag, || user.etag())
}

/// Whether there is an active administrator less when `before` has become `after`, and somebody would miss one: where every
/// caller is an administrator, nobody does. `after` is `None` if the user is deleted.
pub fn may_leave_no_admin(before: &User, after: Option<&User>, meta: &ChangeMeta) -> bool {
    let is_admin = |user: &User| (user.role, user.status) == (Role::Admin, UserStatus::Active);
    is_admin(before) && !after.is_some_and(is_admin) && meta.actor != Actor::Developer
}
