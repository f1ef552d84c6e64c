//! The change feed, as a store keeps it: the change log, read by those who follow users, and users as they were at one
//! of its positions.
//!
//! A position is a place in the log, in commit order. Whoever knows all users as they were at one position and reads
//! every change after it knows all users.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{StoreError, StoredUser};
use crate::model::{Action, Timestamp, UserId, filter::Filter};

/// A change of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place in the log: grows by commit order.
    pub position: i64,
    /// When.
    pub at: Timestamp,
    /// Who: an [`Actor`](crate::model::Actor) in text.
    pub actor: String,
    /// What; see [`Action::is_of_user`].
    pub action: Action,
    /// Whom.
    pub user_id: UserId,
    /// The user's revision after the change.
    pub revision: i64,
    /// The call.
    pub request_id: String,
    /// Names of the fields that changed, where the action leaves that open.
    pub fields: Vec<String>,
    /// The user before the change; `None` for a creation, and once the user is deleted and the log is scrubbed.
    pub before: Option<StoredUser>,
    /// The user after the change; `None` once the user is deleted and the log is scrubbed.
    pub after: Option<StoredUser>,
}

/// A piece of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePage {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// There is no other change of a user up to here: read on after it.
    pub upto: i64,
}

/// A place in the log, and what there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The place.
    pub position: i64,
    /// The users that matched the filter then.
    pub user_count: u64,
}

/// Which users to read as they were.
#[derive(Clone, Debug)]
pub struct UsersAt {
    /// When: after the change with this position.
    pub position: i64,
    /// Only users that matched then.
    pub filter: Option<Filter>,
    /// Only users with a greater id.
    pub after: Option<UserId>,
    /// About this many at a time, at least 1.
    pub limit: u32,
}

/// A page of users as they were.
#[derive(Clone, Debug, Default)]
pub struct UsersAtPage {
    /// In the order of their ids; at most twice the limit. Who was deleted since is left out: the person is not to be found any more.
    pub users: Vec<StoredUser>,
    /// Where to go on; `None` at the end. A page may be empty and yet not the last.
    pub next_after: Option<UserId>,
}

/// What of the log is to go.
#[derive(Clone, Copy, Debug)]
pub struct LogTrim {
    /// Changes from before this go.
    pub before: Timestamp,
    /// The oldest go until so many are left.
    pub keep_max: u64,
    /// At most this many go now.
    pub batch_max: u32,
}

/// At least so much further the log goes on where one of several servers was lost with positions that it alone had given:
/// none is given twice.
pub const POSITIONS_SKIPPED: i64 = 1 << 32;

/// The change feed.
#[async_trait]
pub trait FeedStore {
    /// The position of the newest row of the log that is durable. It changes after every commit that logs anything,
    /// before or soon after the commit is answered.
    fn newest_position(&self) -> watch::Receiver<i64>;

    /// Looks soon whether other servers have committed something, rather than when it would have looked by itself.
    fn look_now(&self) {}

    /// The position of the newest row: every commit that was answered before, on whichever node, is at it or before it.
    async fn log_end(&self) -> Result<i64, StoreError>;

    /// Up to `limit` changes of users after `position`, oldest first.
    /// [`StoreError::Trimmed`] if the log does not reach back to there, or on to there: of several servers, the one that gave
    /// the position may be lost, with what it had not handed on.
    async fn list_changes(&self, position: i64, limit: u32) -> Result<ChangePage, StoreError>;

    /// The newest position, and how many users match now.
    async fn moment(&self, filter: Option<Filter>) -> Result<Moment, StoreError>;

    /// A page of users as they were at a position. No read is held open between pages; what has changed since is made
    /// undone by the log. [`StoreError::Trimmed`] if the log does not reach back to there.
    async fn users_at(&self, query: UsersAt) -> Result<UsersAtPage, StoreError>;

    /// Removes the oldest rows of the log, never the newest; says how many went.
    async fn trim_log(&self, trim: LogTrim) -> Result<u32, StoreError>;
}
