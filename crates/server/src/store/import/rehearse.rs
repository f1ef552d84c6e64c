//! The verdicts that an import would give, without a write.

use super::{ImportBatch, ImportChange, ImportUser, RowContent, RowFailure, RowOutcome, RowVerdict, Seen, SeenKeys};
use crate::{
    model::{UserId, text},
    store::{StoreError, Unique},
};

/// Users as the database has them.
pub(in crate::store) trait Present {
    /// This user, if there is one.
    fn with_id(&self, id: &UserId) -> Result<Option<UserId>, StoreError>;

    /// Who has this email key.
    fn with_email(&self, key: &str) -> Result<Option<UserId>, StoreError>;

    /// Who has this username key.
    fn with_username(&self, key: &str) -> Result<Option<UserId>, StoreError>;

    /// What the row changes of this user, or why it may not.
    fn plan(
        &self,
        batch: &ImportBatch,
        row: &ImportUser,
        id: &UserId,
    ) -> Result<Result<ImportChange, RowFailure>, StoreError>;
}

/// See [`TransferStore::rehearse_import`](super::TransferStore::rehearse_import). `seen` is what batches before would have
/// changed; gives what this one adds to it.
pub(in crate::store) fn rehearse(
    present: &impl Present,
    batch: &ImportBatch,
    seen: &Seen,
) -> Result<(Vec<RowVerdict>, SeenKeys), StoreError> {
    let mut stage = Stage { present, seen, added: SeenKeys::default() };
    let mut verdicts = Vec::with_capacity(batch.rows.len());
    for row in &batch.rows {
        let outcome = match &row.content {
            RowContent::User(user) => stage.rehearse(batch, user)?,
            RowContent::Decided(outcome) => outcome.clone(),
        };
        verdicts.push(RowVerdict { number: row.number, outcome });
    }
    Ok((verdicts, stage.added))
}

/// Who is there, and what the run would have made of it so far.
struct Stage<'a, P> {
    present: &'a P,
    seen: &'a Seen,
    added: SeenKeys,
}

/// Who has a key.
#[derive(PartialEq, Eq)]
enum Holder {
    Nobody,
    /// Who is in the database.
    Present(UserId),
    /// Who would be there by now.
    Rehearsed,
}

impl<P: Present> Stage<'_, P> {
    fn rehearse(&mut self, batch: &ImportBatch, row: &ImportUser) -> Result<RowOutcome, StoreError> {
        let (id, email_key) = (row.user.id.to_text(), text::unique_key(&row.user.email));
        let existing = match row.has_id {
            true => self.holder(Unique::Id, &id, || self.present.with_id(&row.user.id))?,
            false => self.holder_of(Unique::Email, &email_key)?,
        };
        match existing {
            Holder::Nobody => self.create(row, &id, &email_key),
            Holder::Rehearsed => {
                let known = row.has_id.then(|| row.user.id.clone());
                Ok(if batch.update_existing { RowOutcome::Updated(known) } else { RowOutcome::Skipped(known) })
            }
            Holder::Present(id) if !batch.update_existing => Ok(RowOutcome::Skipped(Some(id))),
            Holder::Present(id) => self.update(batch, row, id),
        }
    }

    fn create(&mut self, row: &ImportUser, id: &str, email_key: &str) -> Result<RowOutcome, StoreError> {
        let username_key = text::unique_key(&row.user.username);
        let keys = [(Unique::Email, email_key), (Unique::Username, &username_key)];
        for (unique, key) in keys.iter().filter(|(_, key)| !key.is_empty()) {
            if self.holder_of(*unique, key)? != Holder::Nobody {
                return Ok(RowOutcome::Failed(RowFailure::Taken(*unique)));
            }
        }
        for (unique, key) in keys.iter().filter(|(_, key)| !key.is_empty()) {
            self.seen.take(&mut self.added, *unique, key);
        }
        if row.has_id {
            self.seen.take(&mut self.added, Unique::Id, id);
        }
        Ok(RowOutcome::Created(row.user.id.clone()))
    }

    fn update(&mut self, batch: &ImportBatch, row: &ImportUser, id: UserId) -> Result<RowOutcome, StoreError> {
        let change = match self.present.plan(batch, row, &id)? {
            Ok(change) => change,
            Err(failure) => return Ok(RowOutcome::Failed(failure)),
        };
        let keys = change.keys().map(|(unique, old, new)| (unique, text::unique_key(old), text::unique_key(new)));
        let moves = || keys.iter().filter(|(_, old, new)| old != new);
        for (unique, _, new) in moves().filter(|(_, _, new)| !new.is_empty()) {
            if ![Holder::Nobody, Holder::Present(id.clone())].contains(&self.holder_of(*unique, new)?) {
                return Ok(RowOutcome::Failed(RowFailure::Taken(*unique)));
            }
        }
        for (unique, old, new) in moves() {
            self.seen.free(&mut self.added, *unique, old);
            if !new.is_empty() {
                self.seen.take(&mut self.added, *unique, new);
            }
        }
        Ok(RowOutcome::Updated(Some(id)))
    }

    fn holder_of(&self, unique: Unique, key: &str) -> Result<Holder, StoreError> {
        self.holder(unique, key, || match unique {
            Unique::Username => self.present.with_username(key),
            Unique::Email | Unique::Id => self.present.with_email(key),
        })
    }

    fn holder(
        &self,
        unique: Unique,
        key: &str,
        find: impl FnOnce() -> Result<Option<UserId>, StoreError>,
    ) -> Result<Holder, StoreError> {
        Ok(match self.seen.look(&self.added, unique, key) {
            Some(true) => Holder::Rehearsed,
            Some(false) => Holder::Nobody,
            None => find()?.map_or(Holder::Nobody, Holder::Present),
        })
    }
}
