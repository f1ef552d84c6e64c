//! Imports: many users in one command, and what became of each.

mod change;
mod rehearse;
pub(super) mod verdicts;

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;

pub(super) use self::{
    change::ImportChange,
    rehearse::{Present, rehearse},
};
use super::{Moment, StoreError, Unique};
use crate::{
    auth::PasswordHash,
    model::{AttributesPatch, ChangeMeta, Permission, Timestamp, User, UserId, UserPatch, filter::Filter},
};

/// Names a run of an import.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImportKey {
    /// Who imports: an [`Actor`](crate::model::Actor) in text. Others may use the same name.
    pub owner: String,
    /// The name.
    pub name: String,
}

/// A place in a run.
#[derive(Clone, Debug)]
pub struct ImportStep {
    /// The run.
    pub key: ImportKey,
    /// The last row that is done before this; 0 at the start.
    pub after: i64,
}

/// A user to import, checked.
#[derive(Debug)]
pub struct ImportUser {
    /// The user as it is to be created, at revision 1.
    pub user: User,
    /// Whether the row says the id; otherwise its user is known by the email.
    pub has_id: bool,
    /// Whether the row says the role.
    pub has_role: bool,
    /// Whether the row says the status.
    pub has_status: bool,
    /// Whether the row brings a password, in whatever form. A rehearsal hashes none.
    pub has_password: bool,
    /// The hash to sign in with.
    pub password_hash: Option<PasswordHash>,
}

impl ImportUser {
    /// What the row changes of a user that exists: the fields that it has. The status is a change of its own.
    #[must_use]
    pub fn patch(&self) -> UserPatch {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let user = &self.user;
        UserPatch {
            email: Some(user.email.clone()),
            name: given(&user.name),
            username: given(&user.username),
            role: self.has_role.then_some(user.role),
            age: user.age.map(Some),
            phone: given(&user.phone),
            locale: given(&user.locale),
            attributes: match user.attributes.is_empty() {
                true => AttributesPatch::Keep,
                false => AttributesPatch::Replace(user.attributes.clone()),
            },
            email_verified: user.email_verified.then_some(true),
        }
    }
}

/// A row of an import.
#[derive(Debug)]
pub struct ImportRow {
    /// Its number.
    pub number: i64,
    /// What it has.
    pub content: RowContent,
}

/// What a row of an import has.
#[derive(Debug)]
pub enum RowContent {
    /// A user.
    User(Box<ImportUser>),
    /// Nothing to do any more: what became of it is known, and only to be kept.
    Decided(RowOutcome),
}

/// Rows to import in one transaction.
#[derive(Debug)]
pub struct ImportBatch {
    /// In the order of their numbers.
    pub rows: Vec<ImportRow>,
    /// Whether users that exist are changed; otherwise they are left as they are.
    pub update_existing: bool,
    /// The run that keeps the verdicts.
    pub step: Option<ImportStep>,
    /// Who, when, in which call.
    pub meta: ChangeMeta,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowVerdict {
    /// The row's number.
    pub number: i64,
    /// What became of it.
    pub outcome: RowOutcome,
}

/// What became of a row. A rehearsal does not know the id of a user that the run itself would create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// A user was created.
    Created(UserId),
    /// A user that exists got the row's fields.
    Updated(Option<UserId>),
    /// A user that exists was left as it is.
    Skipped(Option<UserId>),
    /// Nothing was changed.
    Failed(RowFailure),
}

/// Why a row changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFailure {
    /// Its fields are wrong.
    Invalid,
    /// Another user has it.
    Taken(Unique),
    /// The importer lacks this permission, which the role given or the user's role comes with.
    Refused(Permission),
    /// No active administrator would be left.
    LastAdmin,
    /// It is the importer's own account: email and password of that take the current password.
    Own,
}

/// What the earlier rows of a run that changes nothing would have taken and given up. Cheap to clone; clones share it.
///
/// Keys are kept as hashes of 8 bytes. Rows that change the same address again and again are told apart no further.
#[derive(Clone, Debug, Default)]
pub struct Rehearsal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// How many keys it has, for who must not wait for a piece that is rehearsed.
    keys: AtomicUsize,
}

/// Keys that a rehearsal remembers at most, about 100 MB.
pub const REHEARSAL_KEYS_MAX: usize = 4_000_000;

/// The state of a [`Rehearsal`].
#[derive(Debug, Default)]
pub struct Seen {
    hasher: RandomState,
    taken: HashSet<u64>,
    freed: HashSet<u64>,
}

/// What a piece of a rehearsal adds to it.
#[derive(Debug, Default)]
pub struct SeenKeys {
    taken: HashSet<u64>,
    freed: HashSet<u64>,
}

impl Rehearsal {
    /// What was seen so far.
    pub fn lock(&self) -> MutexGuard<'_, Seen> {
        // Sets are sets, whatever a thread was doing with them.
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a piece has added.
    pub fn add(&self, keys: SeenKeys) {
        let mut seen = self.lock();
        seen.taken.extend(keys.taken);
        seen.freed.extend(keys.freed);
        self.0.keys.store(seen.taken.len() + seen.freed.len(), Ordering::Relaxed);
    }

    /// Whether it holds as much as it may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.keys.load(Ordering::Relaxed) >= REHEARSAL_KEYS_MAX
    }
}

impl Seen {
    fn hash(&self, unique: Unique, key: &str) -> u64 {
        self.hasher.hash_one((unique as u8, key))
    }

    /// Whether a row before has taken the key, or has given it up; `None` if none has.
    #[must_use]
    pub fn look(&self, added: &SeenKeys, unique: Unique, key: &str) -> Option<bool> {
        let hash = self.hash(unique, key);
        if added.taken.contains(&hash) || self.taken.contains(&hash) {
            return Some(true);
        }
        (added.freed.contains(&hash) || self.freed.contains(&hash)).then_some(false)
    }

    /// Notes that a row takes the key.
    pub fn take(&self, added: &mut SeenKeys, unique: Unique, key: &str) {
        added.taken.insert(self.hash(unique, key));
    }

    /// Notes that a row gives the key up.
    pub fn free(&self, added: &mut SeenKeys, unique: Unique, key: &str) {
        added.freed.insert(self.hash(unique, key));
    }
}

/// Imports, and the moment that an export starts from.
#[async_trait]
pub trait TransferStore {
    /// The last row that runs with this key have done, after every batch of theirs that was handed in before; 0 if there
    /// was none, or none in the last days.
    async fn find_import(&self, key: ImportKey) -> Result<i64, StoreError>;

    /// The verdicts of the batch, of those that the run keeps, that the row with this number was in; empty if it was in
    /// none.
    async fn find_verdicts(&self, key: ImportKey, number: i64) -> Result<Vec<RowVerdict>, StoreError>;

    /// Imports all rows in one transaction, each as if it were alone: one that fails leaves nothing behind. Gives the
    /// verdict of each, in order. [`StoreError::Stale`] if the run is not where the batch says. Batches that are handed in
    /// while others are under way are done in that order.
    async fn import_users(&self, batch: ImportBatch) -> Result<Vec<RowVerdict>, StoreError>;

    /// The verdicts that [`TransferStore::import_users`] would give, had it been called for every batch that the rehearsal
    /// has seen. Changes nothing.
    async fn rehearse_import(&self, batch: ImportBatch, rehearsal: &Rehearsal) -> Result<Vec<RowVerdict>, StoreError>;

    /// Forgets runs that have done nothing since `before`, at most about `batch_max` batches of verdicts at a time. Says
    /// whether there may be more.
    async fn purge_imports(&self, before: Timestamp, batch_max: u32) -> Result<bool, StoreError>;

    /// The newest position of the log, and how many users after this id match.
    async fn export_moment(&self, filter: Option<Filter>, after: Option<UserId>) -> Result<Moment, StoreError>;
}
