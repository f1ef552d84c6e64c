//! The change log: events that no command of their own has caused, the removal of the oldest rows, and what every row has.

use serde::Serialize;

use super::Command;
use crate::{
    model::{Actor, UserId},
    store::{LogTrim, NewEvent, StoreError},
};

/// See [`crate::store::AuditStore::append_events`].
pub struct AppendEvents {
    pub events: Vec<NewEvent>,
}

impl Command for AppendEvents {
    type Output = ();
}

/// See [`crate::store::FeedStore::trim_log`].
pub struct TrimLog(pub LogTrim);

impl TrimLog {
    /// The last position that may go, of a log from `oldest` to `newest`. The newest stays: the next row is numbered after
    /// it.
    pub fn last(&self, oldest: i64, newest: i64) -> i64 {
        oldest.saturating_add(i64::from(self.0.batch_max)).saturating_sub(1).min(newest - 1)
    }

    /// Rows that are kept at most.
    pub fn keep_max(&self) -> i64 {
        i64::try_from(self.0.keep_max.max(1)).unwrap_or(i64::MAX)
    }
}

impl Command for TrimLog {
    type Output = u32;
}

/// Whether a user did it who is not this one: see the schemas.
pub fn is_by_another(actor: &Actor, user: Option<&UserId>) -> bool {
    matches!(actor, Actor::User(id) if Some(id) != user)
}

/// Values, such as names of fields, as a JSON array.
pub fn json<T: Serialize>(values: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(values).map_err(|error| StoreError::Internal(error.to_string()))
}
