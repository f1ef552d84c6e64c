//! Imports users: rows are checked as they come, and done in pieces.
//!
//! Whoever serves the call drives it: [`ImportRun::push`] takes rows into a piece, [`ImportRun::do_piece`] does a piece,
//! while the next one gathers.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::sleep,
};

use super::{
    create_user::Secret,
    import_row::{self, ImportRowInput},
};
use crate::{
    auth::{HashError, Password, PasswordHash, Refusal},
    model::{Permission, Timestamp, UserId, Violations, text},
    ops::{Ctx, Error, Ops, Reason},
    store::{
        ImportBatch, ImportKey, ImportRow, ImportStep, ImportUser, Rehearsal, RowContent, RowFailure, RowOutcome,
        RowVerdict, StoreError,
    },
};

/// The permission to import.
const PERMISSION: Permission = Permission::UsersImport;
/// Rows in a piece: enough to pay for a commit, few enough not to keep the writes of others waiting.
const PIECE_ROWS_MAX: usize = 500;
/// Bytes of the rows in a piece, but for the last of them.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Passwords in a piece: each takes as long as thousands of rows, and the verdicts wait for them.
const PIECE_PASSWORDS_MAX: usize = 16;
/// Passwords of an import that are hashed at the same time.
const HASHING_MAX: usize = 4;
/// How long an import waits at most before it asks again for a place among the passwords to be hashed.
const HASHING_RETRY_MAX: Duration = Duration::from_secs(1);
/// What is told of a row that would take over the importer's own account.
const OWN: &str = "is you: UpdateUser changes your email and ChangePassword your password, with the current password";
/// Imports at the same time that change nothing: each remembers all that its rows would have taken.
const REHEARSALS_MAX: usize = 4;
/// When to ask again for a place among them.
const REHEARSAL_RETRY_AFTER: Duration = Duration::from_secs(10);
/// Characters of an import key.
const KEY_MAX: usize = 128;

/// `ImportOptions`.
#[derive(Clone, Debug, Default)]
pub struct ImportOptionsInput {
    /// Empty for none.
    pub import_key: String,
    /// The API's number.
    pub existing_user_action: i32,
    /// Give every verdict, change nothing.
    pub validate_only: bool,
}

/// What became of a row.
#[derive(Debug)]
pub struct ImportVerdict {
    /// The row's number.
    pub number: i64,
    /// What was done, and to whom if that is known; or why nothing was, as CreateUser would say it.
    pub result: Result<(ImportOutcome, Option<UserId>), Error>,
    /// Whether an earlier run did it.
    pub done_before: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// A user was created.
    Created,
    /// A user that exists was updated.
    Updated,
    /// A user that exists was left as it is.
    Skipped,
}

/// The runs that are under way, by their keys, and places for those that change nothing.
#[derive(Clone, Debug)]
pub(in crate::ops) struct RunningImports {
    keys: Arc<Mutex<HashSet<ImportKey>>>,
    rehearsals: Arc<Semaphore>,
}

impl Default for RunningImports {
    fn default() -> Self {
        Self { keys: Arc::default(), rehearsals: Arc::new(Semaphore::new(REHEARSALS_MAX)) }
    }
}

/// Holds an import key until dropped.
struct Held {
    key: ImportKey,
    running: RunningImports,
}

impl RunningImports {
    /// A place for a rehearsal.
    fn rehearse(&self) -> Result<OwnedSemaphorePermit, Error> {
        let place = Arc::clone(&self.rehearsals).try_acquire_owned();
        place.map_err(|_| Error::QueueFull { retry_after: REHEARSAL_RETRY_AFTER })
    }

    fn hold(&self, key: ImportKey) -> Result<Held, Error> {
        let is_free = self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        if is_free { Ok(Held { key, running: self.clone() }) } else { Err(Error::Precondition(Reason::ImportRunning)) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.running.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// An import under way.
pub struct ImportRun {
    ops: Arc<Ops>,
    ctx: Ctx,
    update_existing: bool,
    held: Option<Held>,
    rehearsal: Option<Rehearsal>,
    /// Its place among those of all callers.
    _rehearsing: Option<OwnedSemaphorePermit>,
    last_row_done: i64,
    /// The row that came last.
    last_number: i64,
    /// The last row of the last piece.
    last_in_piece: i64,
    gathering: Piece,
}

/// Rows that are done together.
#[derive(Default)]
struct Piece {
    /// When its first row came: the time of all that it does.
    at: Option<Timestamp>,
    rows: Vec<Row>,
    bytes: usize,
    passwords: usize,
    /// Rows that an earlier run has done.
    done_before: usize,
}

/// A row in a piece.
struct Row {
    number: i64,
    checked: Result<(Box<ImportUser>, Option<Password>), Error>,
    done_before: bool,
}

impl Ops {
    /// Begins an import, or takes up one.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::Precondition`] if the key is in use, and those of the store.
    pub async fn begin_import(self: Arc<Self>, ctx: Ctx, options: ImportOptionsInput) -> Result<ImportRun, Error> {
        ctx.caller.check(PERMISSION)?;
        let update_existing = check_options(&options)?;
        let rehearsal = options.validate_only.then(Rehearsal::default);
        let rehearsing = options.validate_only.then(|| self.imports.rehearse()).transpose()?;
        let mut held = None;
        let mut last_row_done = 0;
        if !options.import_key.is_empty() && !options.validate_only {
            let key = ImportKey { owner: ctx.caller.actor().to_string(), name: options.import_key };
            held = Some(self.imports.hold(key.clone())?);
            last_row_done = self.store.find_import(key).await?;
        }
        Ok(ImportRun {
            ops: self,
            ctx,
            update_existing,
            held,
            rehearsal,
            _rehearsing: rehearsing,
            last_row_done,
            last_number: 0,
            last_in_piece: last_row_done,
            gathering: Piece::default(),
        })
    }
}

/// Whether users that exist are updated.
fn check_options(options: &ImportOptionsInput) -> Result<bool, Violations> {
    let mut violations = Violations::new();
    let key = options.import_key.as_bytes();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(byte);
    if key.len() > KEY_MAX || !key.iter().all(allowed) {
        let quoted = text::quote(&options.import_key);
        violations.add("options.import_key", format!("{quoted} must be 1 to {KEY_MAX} of A-Z a-z 0-9 _ . : -"));
    }
    let action = options.existing_user_action;
    if !(0..=2).contains(&action) {
        violations.add("options.existing_user_action", format!("{action} is no action; use 1 (SKIP) or 2 (UPDATE)"));
    }
    violations.into_result().map(|()| action == 2)
}

impl ImportRun {
    /// The last row that earlier runs with the same key have done; 0 if there were none.
    #[must_use]
    pub fn last_row_done(&self) -> i64 {
        self.last_row_done
    }

    /// Checks a row and takes it into the piece that gathers. What is wrong with the row alone its verdict will say.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the rows' numbers do not grow, or there are more of them than a rehearsal can take.
    pub fn push(&mut self, input: ImportRowInput) -> Result<(), Error> {
        let mut violations = Violations::new();
        let (number, bytes) = (input.number, input.bytes);
        if number < 1 {
            violations.add("row.number", format!("{number} is below 1"));
        } else if number <= self.last_number {
            violations.add("row.number", format!("{number} comes after {}; numbers must grow", self.last_number));
        }
        if self.rehearsal.as_ref().is_some_and(Rehearsal::is_full) {
            violations.add("row.number", "these are more users than one import with validate_only can take; split it");
        }
        violations.into_result()?;
        self.last_number = number;
        let now = *self.gathering.at.get_or_insert_with(|| self.ops.clock.now());
        let checked = import_row::parse(input, &self.ctx.caller, now).map(|(mut user, secret)| match secret {
            Secret::None => (Box::new(user), None),
            Secret::Password(password) => (Box::new(user), Some(password)),
            Secret::Hash(hash) => {
                user.password_hash = Some(hash);
                (Box::new(user), None)
            }
        });
        let done_before = number <= self.last_row_done;
        self.gathering.bytes += bytes;
        self.gathering.done_before += usize::from(done_before);
        self.gathering.passwords += usize::from(matches!(checked, Ok((_, Some(_)))));
        self.gathering.rows.push(Row { number, checked, done_before });
        Ok(())
    }

    /// Whether nothing gathers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gathering.rows.is_empty()
    }

    /// Whether the piece that gathers is to be done before it takes more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let piece = &self.gathering;
        piece.rows.len() >= PIECE_ROWS_MAX || piece.bytes >= PIECE_BYTES_MAX || piece.passwords >= PIECE_PASSWORDS_MAX
    }

    /// Whether the piece that gathers is no more than a write: then it may be begun while the one before is under way, and
    /// is still done after it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.gathering.passwords == 0 && self.gathering.done_before == 0 && self.rehearsal.is_none()
    }

    /// Drops what gathers: there will be no verdicts on it.
    pub fn forget_rows(&mut self) {
        self.gathering = Piece::default();
    }

    /// Does the piece that has gathered: gives the verdict of each row, in order.
    ///
    /// # Errors
    /// Of the whole piece, of which nothing was done then: [`Error::Precondition`] if the run goes on elsewhere, and those
    /// of the store.
    pub fn do_piece(&mut self) -> impl Future<Output = Result<Vec<ImportVerdict>, Error>> + Send + use<> {
        let piece = std::mem::take(&mut self.gathering);
        let after = self.last_in_piece;
        let key = self.held.as_ref().map(|held| held.key.clone());
        if let Some(last) = piece.rows.last() {
            self.last_in_piece = self.last_in_piece.max(last.number);
        }
        let work = Work {
            ops: Arc::clone(&self.ops),
            ctx: self.ctx.clone(),
            update_existing: self.update_existing,
            rehearsal: self.rehearsal.clone(),
            key,
        };
        async move { work.run(piece, after).await }
    }
}

/// What it takes to do a piece.
struct Work {
    ops: Arc<Ops>,
    ctx: Ctx,
    update_existing: bool,
    rehearsal: Option<Rehearsal>,
    key: Option<ImportKey>,
}

impl Work {
    async fn run(self, piece: Piece, after: i64) -> Result<Vec<ImportVerdict>, Error> {
        let (before, rows): (Vec<_>, Vec<_>) = piece.rows.into_iter().partition(|row| row.done_before);
        let mut verdicts = self.recall(before).await?;
        if rows.is_empty() {
            return Ok(verdicts);
        }
        let (rows, errors) = self.ready(rows).await?;
        let batch = ImportBatch {
            rows,
            update_existing: self.update_existing,
            step: self.key.clone().map(|key| ImportStep { key, after }),
            meta: self.ctx.change(piece.at.unwrap_or_else(|| self.ops.clock.now()), false),
        };
        let done = match &self.rehearsal {
            None => self.ops.store.import_users(batch).await,
            Some(rehearsal) => self.ops.store.rehearse_import(batch, rehearsal).await,
        };
        let done = done.map_err(|error| match error {
            StoreError::Stale => Error::Precondition(Reason::ImportRunning),
            other => other.into(),
        })?;
        verdicts.extend(done.into_iter().zip(errors).map(|(RowVerdict { number, outcome }, error)| ImportVerdict {
            number,
            result: error.map_or_else(|| result_of(outcome, Violations::new), Err),
            done_before: false,
        }));
        Ok(verdicts)
    }

    /// The verdicts of then, on rows that an earlier run has done.
    async fn recall(&self, rows: Vec<Row>) -> Result<Vec<ImportVerdict>, Error> {
        let mut verdicts = Vec::with_capacity(rows.len());
        let mut page: Vec<RowVerdict> = Vec::new();
        for row in rows {
            if let Some(key) = &self.key
                && page.last().is_none_or(|last| last.number < row.number)
            {
                page = self.ops.store.find_verdicts(key.clone(), row.number).await?;
            }
            let found = page.binary_search_by_key(&row.number, |verdict| verdict.number).ok();
            let result = match found.and_then(|index| page.get(index)) {
                // What was wrong with it then is what is wrong with it now: only the reason is kept.
                Some(verdict) => result_of(verdict.outcome.clone(), || match row.checked {
                    Err(Error::Invalid(violations)) => violations,
                    _ => alone("user", "was not valid when this row was sent first"),
                }),
                None => Err(alone("number", "is not above the last row done, and was not sent before it").into()),
            };
            verdicts.push(ImportVerdict { number: row.number, result, done_before: found.is_some() });
        }
        Ok(verdicts)
    }

    /// Hashes the passwords. Gives the rows for the store, and beside them the errors of those that are not valid.
    async fn ready(&self, rows: Vec<Row>) -> Result<(Vec<ImportRow>, Vec<Option<Error>>), Error> {
        let (mut ready, mut errors) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut hashing = JoinSet::new();
        for Row { number, checked, .. } in rows {
            let (content, error) = match checked {
                Err(error) => (RowContent::Decided(RowOutcome::Failed(failure_of(&error))), Some(error)),
                Ok((user, None)) => (RowContent::User(user), None),
                Ok((user, Some(_))) if self.rehearsal.is_some() => (RowContent::User(user), None),
                Ok((user, Some(password))) => match self.find_left_alone(&user).await? {
                    Some(id) => (RowContent::Decided(RowOutcome::Skipped(Some(id))), None),
                    None => {
                        if hashing.len() >= HASHING_MAX {
                            give_hash(&mut ready, hashing.join_next().await)?;
                        }
                        hashing.spawn(hash(Arc::clone(&self.ops), ready.len(), password));
                        (RowContent::User(user), None)
                    }
                },
            };
            ready.push(ImportRow { number, content });
            errors.push(error);
        }
        while let Some(done) = hashing.join_next().await {
            give_hash(&mut ready, Some(done))?;
        }
        Ok((ready, errors))
    }

    /// The row's user, if there is one that is left as it is: then there is no need to hash anything.
    async fn find_left_alone(&self, row: &ImportUser) -> Result<Option<UserId>, StoreError> {
        if self.update_existing {
            return Ok(None);
        }
        let found = match row.has_id {
            true => self.ops.store.find_user(&row.user.id).await?,
            false => self.ops.store.find_user_by_email(&text::unique_key(&row.user.email)).await?,
        };
        found.map(|user| user.user().map(|user| user.id)).transpose()
    }
}

/// Hashes the password of the row at `index`, and waits where sign-ins have taken all places.
async fn hash(ops: Arc<Ops>, index: usize, password: Password) -> (usize, Result<PasswordHash, HashError>) {
    loop {
        match ops.hasher.hash(password.clone()).await {
            Err(HashError::Busy { retry_after }) => sleep(retry_after.min(HASHING_RETRY_MAX)).await,
            done => return (index, done),
        }
    }
}

type Hashed = Result<(usize, Result<PasswordHash, HashError>), JoinError>;

fn give_hash(rows: &mut [ImportRow], hashed: Option<Hashed>) -> Result<(), Error> {
    let Some(hashed) = hashed else { return Ok(()) };
    let (index, hash) = hashed.map_err(|error| Error::Internal(error.to_string()))?;
    if let Some(ImportRow { content: RowContent::User(user), .. }) = rows.get_mut(index) {
        user.password_hash = Some(hash?);
    }
    Ok(())
}

/// What the store keeps of a row's error.
fn failure_of(error: &Error) -> RowFailure {
    match error {
        Error::Refused(Refusal::Lacks(permission)) => RowFailure::Refused(*permission),
        _ => RowFailure::Invalid,
    }
}

/// What became of a row, as its verdict says it; `violations` are what is wrong with it if it is not valid.
fn result_of(
    outcome: RowOutcome,
    violations: impl FnOnce() -> Violations,
) -> Result<(ImportOutcome, Option<UserId>), Error> {
    match outcome {
        RowOutcome::Created(id) => Ok((ImportOutcome::Created, Some(id))),
        RowOutcome::Updated(id) => Ok((ImportOutcome::Updated, id)),
        RowOutcome::Skipped(id) => Ok((ImportOutcome::Skipped, id)),
        RowOutcome::Failed(RowFailure::Invalid) => Err(violations().into()),
        RowOutcome::Failed(RowFailure::Taken(unique)) => Err(Error::Taken(unique)),
        RowOutcome::Failed(RowFailure::Refused(permission)) => Err(Refusal::Lacks(permission).into()),
        RowOutcome::Failed(RowFailure::LastAdmin) => Err(Error::Precondition(Reason::LastAdmin)),
        RowOutcome::Failed(RowFailure::Own) => Err(alone("user", OWN).into()),
    }
}

fn alone(field: &str, description: &str) -> Violations {
    let mut violations = Violations::new();
    violations.add(field, description);
    violations
}
