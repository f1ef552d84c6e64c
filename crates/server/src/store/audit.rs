//! The audit log, as a store keeps it: the change log, read by those who look for acts and refusals.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Action, AuditEvent, ChangeMeta, UserId, filter::AuditFilter};

/// A page of events to read.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    /// Only events that match.
    pub filter: Option<AuditFilter>,
    /// The newest first, or the oldest.
    pub newest_first: bool,
    /// Only events after this position, in that order.
    pub after: Option<i64>,
    /// At most this many, at least 1.
    pub limit: u32,
}

/// An event that no command writes by itself, such as a call that was refused.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What.
    pub action: Action,
    /// To whom, if there is such a user.
    pub user_id: Option<UserId>,
    /// To what; empty for nothing.
    pub target: String,
    /// The reason of the error; empty if there was none.
    pub reason: &'static str,
    /// When, by whom, in which call, from where.
    pub meta: ChangeMeta,
}

/// The audit log. It has what every command has logged, changes of users too.
#[async_trait]
pub trait AuditStore {
    /// Up to `query.limit` events, by their place in the log.
    async fn list_events(&self, query: AuditQuery) -> Result<Vec<AuditEvent>, StoreError>;

    /// Adds these, in one commit. The address of a user who is gone is not kept, as in
    /// [`delete_user`](super::Store::delete_user).
    async fn append_events(&self, events: Vec<NewEvent>) -> Result<(), StoreError>;
}
