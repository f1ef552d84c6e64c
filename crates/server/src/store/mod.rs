//! The store: atomic commands over users, and queries.
//!
//! Each method is one atomic command that carries everything its commit must contain, the
//! change-log row included. No transaction crosses an `.await`. A write that was answered `Ok` is
//! durable, and every later read sees it. Every backend passes [`the same conformance suite`](../../tests/it/store).

pub mod addresses;
mod aged_cache;
pub mod answers;
pub mod api_keys;
pub mod audit;
pub mod cache;
mod commands;
pub mod copy;
mod derived;
pub mod error;
pub mod feed;
pub mod grants;
pub mod import;
pub mod live;
pub mod mail;
pub mod postgres;
pub mod preferences;
pub mod query;
pub mod sessions;
pub mod signing_keys;
mod sql;
pub mod sqlite;
mod stale_reads;
mod stored_user;
mod traces;

use async_trait::async_trait;

pub use addresses::AddressStore;
pub use answers::{Answer, AnswerStore, Answered};
pub use api_keys::{API_KEYS_MAX, ApiKeyStore, ApiKeyUse, NewApiKey};
pub use audit::{AuditQuery, AuditStore, NewEvent};
pub use error::{StoreError, Unique};
pub use feed::{Change, ChangePage, FeedStore, LogTrim, Moment, POSITIONS_SKIPPED, UsersAt, UsersAtPage};
pub use grants::GrantStore;
pub use import::{
    ImportBatch, ImportKey, ImportRow, ImportStep, ImportUser, Rehearsal, RowContent, RowFailure, RowOutcome,
    RowVerdict, TransferStore,
};
pub use live::{Ended, Live, LiveGrants, Trust};
pub use mail::{ClaimedMail, MailBacklog, MailClaim, MailOutcome, MailStore, NewMail};
pub use preferences::PreferencesStore;
pub use query::{Cursor, CursorValue, UserQuery};
pub use sessions::{Login, LoginKey, NewSession, RefreshUse, SessionStore, SessionUse};
pub use signing_keys::{SigningKey, SigningKeyStore};
pub use stale_reads::StaleReads;
pub use stored_user::StoredUser;

pub use crate::backlog::Wait;
use crate::{
    auth::PasswordHash,
    metrics::Page,
    model::{ChangeMeta, User, UserId, UserPatch, UserStatus},
};

/// A user to create, with what is kept beside the user.
#[derive(Debug)]
pub struct NewUser {
    /// The user, at revision 1.
    pub user: User,
    /// The hash to sign in with; `None` if there is no password yet.
    pub password_hash: Option<PasswordHash>,
    /// The mail that verifies the address; `None` for none.
    pub mail: Option<NewMail>,
}

/// What calls wait for in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Commands.
    Writes,
    /// Reads that may take long.
    Scans,
}

/// Where users are kept. See the [module](self) for what each method promises.
#[async_trait]
pub trait Store:
    AddressStore
    + AnswerStore
    + ApiKeyStore
    + AuditStore
    + FeedStore
    + GrantStore
    + MailStore
    + PreferencesStore
    + SessionStore
    + SigningKeyStore
    + StaleReads
    + TransferStore
    + Send
    + Sync
    + 'static
{
    /// The user if memory holds it and it is current; no I/O. `None` says nothing about existence.
    fn cached_user(&self, id: &UserId) -> Option<StoredUser>;

    /// The user, or `None`.
    async fn find_user(&self, id: &UserId) -> Result<Option<StoredUser>, StoreError>;

    /// The user whose email has this [unique key](crate::model::text::unique_key), or `None`.
    async fn find_user_by_email(&self, email_key: &str) -> Result<Option<StoredUser>, StoreError>;

    /// The hash that the user signs in with, or `None` if there is no such user or no password.
    async fn find_password_hash(&self, id: &UserId) -> Result<Option<PasswordHash>, StoreError>;

    /// Up to `query.limit` users after `query.after`, in order.
    async fn list_users(&self, query: UserQuery) -> Result<Vec<StoredUser>, StoreError>;

    /// The same, and how many users match in all, before and after that page; counted no further than `total_max`.
    async fn search_users(&self, query: UserQuery, total_max: u32) -> Result<(Vec<StoredUser>, u32), StoreError>;

    /// Adds a user. [`StoreError::Conflict`] names what is taken.
    async fn create_user(&self, new: NewUser, meta: ChangeMeta) -> Result<StoredUser, StoreError>;

    /// Applies `patch`; a patch that changes nothing leaves the revision as it is.
    /// [`StoreError::Stale`] if `etag` is given and is not the user's. Like the two commands after it, and like those that
    /// end sessions or set a password, [`StoreError::Outranked`] if the actor is another and does not hold all that the
    /// user's role may do, which is looked at first. Like the two commands after it, [`StoreError::LastAdmin`] if no active administrator with a password would be left, unless the actor is
    /// [`Actor::Developer`](crate::model::Actor::Developer).
    async fn update_user(
        &self,
        id: UserId,
        patch: UserPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError>;

    /// Sets the status; setting the one that is there changes nothing.
    async fn set_user_status(
        &self,
        id: UserId,
        status: UserStatus,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError>;

    /// Removes the user, all that hangs on it, and its personal data in the change log: the user as it was before and
    /// after each change, and the IP addresses of what was done to the user and by the user.
    async fn delete_user(&self, id: UserId, etag: Option<String>, meta: ChangeMeta) -> Result<(), StoreError>;

    /// 32 random bytes under `name`, made at first use and the same ever after, on every node.
    async fn secret(&self, name: &'static str) -> Result<[u8; 32], StoreError>;

    /// Whether a read and the way to the writer work.
    async fn ping(&self) -> Result<(), StoreError>;

    /// How long who joins this queue now will wait, with at least so many `ahead`, as far as can be said; nothing if there
    /// is no such queue.
    fn wait(&self, _queue: Queue, _ahead: usize) -> Wait {
        Wait::default()
    }

    /// Puts what it does in numbers on the page.
    fn report(&self, page: &mut Page);

    /// Finishes what was accepted, then closes; later calls fail with [`StoreError::Unavailable`].
    async fn close(&self);
}
