//! The first answers to calls that have an idempotency key, in PostgreSQL. How a command is run once is the matter of
//! [`Tx`](super::tx::Tx).

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{PostgresStore, row::column, value::params};
use crate::{
    model::Timestamp,
    store::{AnswerStore, Answered, StoreError, commands::PurgeAnswers},
};

#[async_trait]
impl AnswerStore for PostgresStore {
    async fn find_answer(&self, id: [u8; 32], now: Timestamp) -> Result<Option<Answered>, StoreError> {
        const SQL: &str = "SELECT request, answer FROM answers WHERE id = $1 AND expires_at > $2";
        let row = self.database.point(SQL, params![id, now]).await?;
        row.map(|row| answered_from_row(&row)).transpose()
    }

    async fn purge_answers(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.execute(PurgeAnswers { now, limit }).await
    }
}

fn answered_from_row(row: &Row) -> Result<Answered, StoreError> {
    let request: Vec<u8> = column(row, 0)?;
    let request = request.try_into().map_err(|_| StoreError::Corrupt("a request's MAC is not 32 bytes long".into()))?;
    Ok(Answered { request, sealed: column(row, 1)? })
}
