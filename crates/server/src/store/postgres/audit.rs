//! The audit log in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::{PostgresStore, commands::AppendEvents};
use crate::{
    model::AuditEvent,
    store::{AuditQuery, AuditStore, NewEvent, StoreError},
};

#[async_trait]
impl AuditStore for PostgresStore {
    async fn list_events(&self, query: AuditQuery) -> Result<Vec<AuditEvent>, StoreError> {
        unimplemented!()
    }

    async fn append_events(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.execute(AppendEvents { events }).await
    }
}
