//! What becomes of each row of an import, and what is to be written for it: decided row after row, in memory.

use std::borrow::Cow;

use super::{
    Written,
    known::{Known, KnownUser, is_admin},
    write::Writes,
};
use crate::{
    auth::PasswordHash,
    model::{Action, User, UserStatus},
    store::{
        Ended, ImportBatch, ImportUser, RowContent, RowFailure, RowOutcome, RowVerdict, StoreError, Unique,
        derived::Derived, import::ImportChange,
    },
};

/// What a batch comes to.
pub(super) struct Plan<'b> {
    pub(super) verdicts: Vec<RowVerdict>,
    /// The grants that end with it.
    pub(super) ended: Vec<Ended>,
    pub(super) writes: Writes<'b>,
}

/// Decides about all rows, each with what the database keeps beside its user.
pub(super) fn plan<'b>(
    batch: &'b ImportBatch,
    derived: &'b [Option<Derived>],
    known: Known,
) -> Result<Plan<'b>, StoreError> {
    let mut planner = Planner { batch, known, ended: Vec::new(), writes: Writes::default() };
    let mut verdicts = Vec::with_capacity(batch.rows.len());
    for (row, derived) in batch.rows.iter().zip(derived) {
        let outcome = match (&row.content, derived) {
            (RowContent::User(user), Some(derived)) => planner.import(user, derived)?,
            (RowContent::Decided(outcome), _) => outcome.clone(),
            (RowContent::User(_), None) => return Err(StoreError::Internal("a row was not readied".into())),
        };
        verdicts.push(RowVerdict { number: row.number, outcome });
    }
    Ok(Plan { verdicts, ended: planner.ended, writes: planner.writes })
}

struct Planner<'b> {
    batch: &'b ImportBatch,
    known: Known,
    ended: Vec<Ended>,
    writes: Writes<'b>,
}

impl<'b> Planner<'b> {
    fn import(&mut self, row: &'b ImportUser, derived: &'b Derived) -> Result<RowOutcome, StoreError> {
        let Some(conflict) = self.known.taken(&row.user.id, derived, None) else {
            self.create(row, derived)?;
            return Ok(RowOutcome::Created(row.user.id.clone()));
        };
        match self.known.existing(row, &derived.email_key) {
            None => Ok(RowOutcome::Failed(RowFailure::Taken(conflict))),
            Some(place) if self.batch.update_existing => self.update(place, row),
            Some(place) => Ok(RowOutcome::Skipped(Some(self.known.user(place).id.clone()))),
        }
    }

    fn create(&mut self, row: &'b ImportUser, derived: &'b Derived) -> Result<(), StoreError> {
        let user = &row.user;
        let password = row.password_hash.as_ref().map(|hash| hash.as_str().to_owned());
        let place = self.known.add(KnownUser {
            id: user.id.clone(),
            email_key: derived.email_key.clone(),
            username_key: derived.username_key.clone(),
            stored: derived.stored.clone(),
            password: None,
            is_admin: is_admin(user.role, user.status),
            is_locked: true,
        });
        if let Some(hash) = password {
            self.known.set_password(place, &hash);
            self.writes.password(&user.id, hash);
        }
        self.writes.user(
            place,
            None,
            Written { user: Cow::Borrowed(user), derived: Cow::Borrowed(derived), is_new: true },
        );
        self.writes.log.change(Action::Created, user, (None, Some(&derived.stored)), &[], &self.batch.meta)
    }

    fn update(&mut self, place: usize, row: &ImportUser) -> Result<RowOutcome, StoreError> {
        let known = self.known.user(place);
        if !known.is_locked {
            // Somebody who came after the lock: as if met at the writing.
            return Err(StoreError::Conflict(Unique::Id));
        }
        let change = match ImportChange::plan(self.batch, row, known.stored.user()?) {
            Ok(change) => change,
            Err(failure) => return Ok(RowOutcome::Failed(failure)),
        };
        if !self.known.keeps_an_admin(place, &change.becomes(), &self.batch.meta) {
            return Ok(RowOutcome::Failed(RowFailure::LastAdmin));
        }
        let derived = Derived::of(&change.after)?;
        let id = change.before.id.clone();
        if let Some(taken) = self.known.taken(&id, &derived, Some(place)) {
            return Ok(RowOutcome::Failed(RowFailure::Taken(taken)));
        }
        let user = self.change(place, change, derived)?;
        if let Some(hash) = &row.password_hash {
            self.set_password(place, &user, hash)?;
        }
        Ok(RowOutcome::Updated(Some(id)))
    }

    /// The fields, and then the status. Gives the user after both.
    fn change(&mut self, place: usize, change: ImportChange, derived: Derived) -> Result<User, StoreError> {
        let ImportChange { before, after, fields, status } = change;
        let of_grants = (before.role, before.status);
        if !fields.is_empty() {
            self.write(place, &after, derived, Action::Updated, &fields)?;
        }
        let mut user = after;
        if status != user.status {
            let updated_at = self.batch.meta.at.max(user.updated_at);
            user = User { status, revision: user.revision + 1, updated_at, ..user };
            let action = match status {
                UserStatus::Active => Action::Reactivated,
                UserStatus::Inactive => Action::Deactivated,
            };
            if status == UserStatus::Inactive {
                // Whoever is made active again signs in anew.
                self.writes.sign_out(&user.id);
            }
            self.write(place, &user, Derived::of(&user)?, action, &["status"])?;
        }
        if of_grants != (user.role, user.status) {
            self.ended.push(Ended::User(user.id.clone()));
        }
        Ok(user)
    }

    fn write(
        &mut self,
        place: usize,
        user: &User,
        derived: Derived,
        action: Action,
        fields: &[&str],
    ) -> Result<(), StoreError> {
        let before = self.known.user(place);
        let images = (Some(&before.stored), Some(&derived.stored));
        self.writes.log.change(action, user, images, fields, &self.batch.meta)?;
        let keys = (before.email_key.clone(), before.username_key.clone());
        self.known.change(place, user, &derived);
        let written = Written { user: Cow::Owned(user.clone()), derived: Cow::Owned(derived), is_new: false };
        self.writes.user(place, Some(keys), written);
        Ok(())
    }

    fn set_password(&mut self, place: usize, user: &User, hash: &PasswordHash) -> Result<(), StoreError> {
        let known = self.known.user(place);
        if known.password.as_deref() == Some(hash.as_str()) {
            return Ok(());
        }
        // No field of the user shows it, so the revision stays.
        let images = (Some(&known.stored), Some(&known.stored));
        self.writes.log.change(Action::PasswordChanged, user, images, &[], &self.batch.meta)?;
        self.known.set_password(place, hash.as_str());
        self.writes.password(&user.id, hash.as_str().to_owned());
        self.writes.end_resets(&user.id);
        self.writes.sign_out(&user.id);
        self.ended.push(Ended::SessionsOf { user_id: user.id.clone(), except: None });
        Ok(())
    }
}
