//! A change on its way to watchers: shared by all, decoded when the first of them asks, and what each is told of it.

use std::sync::OnceLock;

use super::ChangeKind;
use crate::{
    model::{Action, User, filter::Filter},
    store::{Change, StoreError, StoredUser},
};

/// Bytes that an entry takes beside the users in it.
const FRAME_BYTES: usize = 512;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) change: Change,
    before: OnceLock<User>,
    after: OnceLock<User>,
    public: OnceLock<StoredUser>,
}

impl Entry {
    pub(super) fn new(change: Change) -> Self {
        Self { change, before: OnceLock::new(), after: OnceLock::new(), public: OnceLock::new() }
    }

    /// What is left of it once the user is deleted.
    pub(super) fn erased(&self) -> Self {
        Self::new(Change { before: None, after: None, ..self.change.clone() })
    }

    /// Whether there is a user in it.
    pub(super) fn has_user(&self) -> bool {
        self.change.before.is_some() || self.change.after.is_some()
    }

    /// About what it takes in memory, with the users decoded.
    pub(super) fn bytes(&self) -> usize {
        let users = [&self.change.before, &self.change.after].into_iter().flatten();
        FRAME_BYTES + 4 * users.map(|user| user.as_bytes().len()).sum::<usize>()
    }

    /// What a watcher with this filter is told that it was; `None` for nothing.
    pub(super) fn kind_for(&self, filter: Option<&Filter>) -> Result<Option<ChangeKind>, StoreError> {
        let Some(kind) = ChangeKind::of(self.change.action) else { return Ok(None) };
        let Some(filter) = filter else { return Ok(Some(kind)) };
        if kind == ChangeKind::Deleted {
            // Nobody knows any more whether it matched, and whoever has heard of it must hear this.
            return Ok(Some(kind));
        }
        // Deleted since; that is told in its place.
        let Some(after) = user_in(self.change.after.as_ref(), &self.after)? else { return Ok(None) };
        let is_in = filter.matches(after);
        let was_in = match user_in(self.change.before.as_ref(), &self.before)? {
            Some(before) => filter.matches(before),
            None if kind == ChangeKind::Created => false,
            // A row from before the log kept it: whoever has heard of the user must hear that it left.
            None => true,
        };
        Ok(match (was_in, is_in) {
            (true, true) => Some(kind),
            (false, true) if kind == ChangeKind::Created => Some(kind),
            (false, true) => Some(ChangeKind::Updated),
            (true, false) => Some(ChangeKind::LeftFilter),
            (false, false) => None,
        })
    }

    /// The user after the change, with or without private fields.
    pub(super) fn user(&self, private: bool) -> Result<Option<StoredUser>, StoreError> {
        let Some(after) = &self.change.after else { return Ok(None) };
        if private {
            return Ok(Some(after.clone()));
        }
        if let Some(public) = self.public.get() {
            return Ok(Some(public.clone()));
        }
        let public = StoredUser::of(&after.user()?.without_private());
        Ok(Some(self.public.get_or_init(|| public).clone()))
    }

    /// The names of the fields that changed.
    pub(super) fn changed_fields(&self, kind: ChangeKind) -> Vec<String> {
        if !matches!(kind, ChangeKind::Updated | ChangeKind::LeftFilter) {
            return Vec::new();
        }
        match self.change.action {
            _ if !self.change.fields.is_empty() => self.change.fields.clone(),
            Action::Deactivated | Action::Reactivated => vec!["status".into()],
            Action::EmailVerified => vec!["email_verified".into()],
            _ => Vec::new(),
        }
    }
}

/// The decoded user, which is kept.
fn user_in<'a>(stored: Option<&StoredUser>, decoded: &'a OnceLock<User>) -> Result<Option<&'a User>, StoreError> {
    let Some(stored) = stored else { return Ok(None) };
    if let Some(user) = decoded.get() {
        return Ok(Some(user));
    }
    let user = stored.user()?;
    Ok(Some(decoded.get_or_init(|| user)))
}

impl ChangeKind {
    /// What it is to those who see every user.
    fn of(action: Action) -> Option<Self> {
        Some(match action {
            Action::Created => Self::Created,
            Action::Updated => Self::Updated,
            Action::Deactivated => Self::Deactivated,
            Action::Reactivated => Self::Reactivated,
            Action::Deleted => Self::Deleted,
            Action::EmailVerified => Self::EmailVerified,
            Action::PasswordChanged => Self::PasswordChanged,
            _ => return None,
        })
    }
}
