//! Imports users: many in one command, each as if it were alone.
//!
//! A row that meets a conflict changes nothing, because its first change is the one that can meet it. So new users are
//! written straight away, and only what stands in the way is looked up.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    ChangeLog,
    create_user::{NewRows, insert_password},
    current_user, keep_an_admin, log_change,
    set_password::write_password,
    set_user_status::write_status,
    update_user,
};
use crate::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, UserId},
    store::{
        Ended, ImportBatch, ImportUser, RowContent, RowFailure, RowOutcome, RowVerdict, StoreError, StoredUser, Unique,
        commands::{ImportUsers, Imported},
        derived::Derived,
        import::{ImportChange, Present as _},
        sqlite::{imports, writer::RunInSqlite},
    },
};

impl RunInSqlite for ImportUsers {
    fn run(&self, connection: &Connection) -> Result<Imported, StoreError> {
        // First: a run that has gone on elsewhere is refused before anything changes.
        let run = self.batch.step.as_ref().map(|step| imports::check_step(connection, step)).transpose()?;
        let mut importer = Importer::new(connection, &self.batch)?;
        let mut verdicts = Vec::with_capacity(self.batch.rows.len());
        for (row, derived) in self.batch.rows.iter().zip(&self.derived) {
            let outcome = match (&row.content, derived) {
                (RowContent::User(user), Some(derived)) => importer.import(user, derived)?,
                (RowContent::Decided(outcome), _) => outcome.clone(),
                (RowContent::User(_), None) => return Err(StoreError::Internal("a row was not readied".into())),
            };
            verdicts.push(RowVerdict { number: row.number, outcome });
        }
        if let (Some(run), Some(step)) = (run, &self.batch.step) {
            imports::keep(connection, (run, step), &verdicts, self.batch.meta.at)?;
        }
        Ok(Imported { verdicts, ended: importer.ended })
    }
}

/// Imports rows, one after the other.
struct Importer<'c> {
    connection: &'c Connection,
    batch: &'c ImportBatch,
    users: NewRows<'c>,
    log: ChangeLog<'c>,
    /// The grants that the rows have ended.
    ended: Vec<Ended>,
}

impl<'c> Importer<'c> {
    fn new(connection: &'c Connection, batch: &'c ImportBatch) -> Result<Self, StoreError> {
        let (users, log) = (NewRows::open(connection)?, ChangeLog::open(connection, &batch.meta)?);
        Ok(Self { connection, batch, users, log, ended: Vec::new() })
    }

    fn import(&mut self, row: &ImportUser, derived: &Derived) -> Result<RowOutcome, StoreError> {
        let conflict = match self.create(row, derived) {
            Ok(()) => return Ok(RowOutcome::Created(row.user.id.clone())),
            Err(StoreError::Conflict(unique)) => unique,
            Err(error) => return Err(error),
        };
        let taken = |id, unique| Ok(RowOutcome::Failed(first_taken(self.connection, id, &derived.email_key, unique)?));
        match find_existing(self.connection, row, &derived.email_key)? {
            None => taken(&row.user.id, conflict),
            Some(id) if !self.batch.update_existing => Ok(RowOutcome::Skipped(Some(id))),
            Some(id) => match Change::plan(self.connection, self.batch, row, &id)? {
                Err(failure) => Ok(RowOutcome::Failed(failure)),
                Ok(change) => {
                    let password = row.password_hash.as_ref();
                    match change.write(self.connection, password, &self.batch.meta, &mut self.ended) {
                        Ok(()) => Ok(RowOutcome::Updated(Some(id))),
                        Err(StoreError::Conflict(unique)) => taken(&id, unique),
                        Err(error) => Err(error),
                    }
                }
            },
        }
    }

    /// Adds the user; a conflict leaves nothing behind.
    fn create(&mut self, row: &ImportUser, derived: &Derived) -> Result<(), StoreError> {
        let pk = self.users.insert(&row.user, derived)?;
        if let Some(hash) = &row.password_hash {
            insert_password(self.connection, pk, hash)?;
        }
        self.log.write(Action::Created, (pk, &row.user), (None, Some(&derived.stored)), &[])
    }
}

/// Of several things that are taken SQLite names any; the email comes first.
fn first_taken(
    connection: &Connection,
    id: &UserId,
    email_key: &str,
    conflict: Unique,
) -> Result<RowFailure, StoreError> {
    let by_another = connection.with_email(email_key)?.is_some_and(|holder| holder != *id);
    Ok(RowFailure::Taken(if by_another { Unique::Email } else { conflict }))
}

/// The user that the row is about: by its id if it says one, else by its email.
fn find_existing(connection: &Connection, row: &ImportUser, email_key: &str) -> Result<Option<UserId>, StoreError> {
    if row.has_id { connection.with_id(&row.user.id) } else { connection.with_email(email_key) }
}

/// What a row makes of a user that exists, with the user as it is stored.
pub(super) struct Change {
    pk: i64,
    stored: StoredUser,
    pub(super) change: ImportChange,
}

impl Change {
    /// Decides what the row changes, and whether it may.
    pub(super) fn plan(
        connection: &Connection,
        batch: &ImportBatch,
        row: &ImportUser,
        id: &UserId,
    ) -> Result<Result<Self, RowFailure>, StoreError> {
        let (pk, before, stored) = current_user(connection, id)?;
        let change = match ImportChange::plan(batch, row, before) {
            Ok(change) => change,
            Err(failure) => return Ok(Err(failure)),
        };
        match keep_an_admin(connection, (pk, &change.before), Some(&change.becomes()), &batch.meta) {
            Ok(()) => Ok(Ok(Self { pk, stored, change })),
            Err(StoreError::LastAdmin) => Ok(Err(RowFailure::LastAdmin)),
            Err(error) => Err(error),
        }
    }

    /// Does it. The first write is the one that can meet a conflict.
    fn write(
        self,
        connection: &Connection,
        password: Option<&PasswordHash>,
        meta: &ChangeMeta,
        ended: &mut Vec<Ended>,
    ) -> Result<(), StoreError> {
        let Self { pk, mut stored, change: ImportChange { before, after, fields, status } } = self;
        if !fields.is_empty() {
            let derived = Derived::of(&after)?;
            update_user::write(connection, &after, &derived)?;
            log_change(
                connection,
                Action::Updated,
                (pk, &after),
                (Some(&stored), Some(&derived.stored)),
                &fields,
                meta,
            )?;
            stored = derived.stored;
        }
        let mut user = after;
        if status != user.status {
            (user, stored) = write_status(connection, (pk, &user, &stored), status, meta)?;
        }
        if (before.role, before.status) != (user.role, user.status) {
            ended.push(Ended::User(user.id.clone()));
        }
        if let Some(hash) = password
            && current_password(connection, pk)?.as_deref() != Some(hash.as_str())
        {
            write_password(connection, (pk, &user, &stored), hash, meta)?;
            ended.push(Ended::SessionsOf { user_id: user.id, except: None });
        }
        Ok(())
    }
}

fn current_password(connection: &Connection, pk: i64) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT password_hash FROM credentials WHERE user_pk = ?1")?;
    Ok(statement.query_row(params![pk], |row| row.get(0)).optional()?)
}
