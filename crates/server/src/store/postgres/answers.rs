//! The first answers to calls that have an idempotency key, in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    model::Timestamp,
    store::{AnswerStore, Answered, StoreError},
};

#[async_trait]
impl AnswerStore for PostgresStore {
    async fn find_answer(&self, id: [u8; 32], now: Timestamp) -> Result<Option<Answered>, StoreError> {
        unimplemented!()
    }

    async fn purge_answers(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        unimplemented!()
    }
}
