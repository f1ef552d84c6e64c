//! The first answers to calls that have an idempotency key, in PostgreSQL. How a command is run once is the matter of
//! [`Tx`](super::tx::Tx).

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    row::column,
    tx::{Tx, View},
    value::params,
};
use crate::{
    model::Timestamp,
    store::{AnswerStore, Answered, StoreError, commands::PurgeAnswers},
};

#[async_trait]
impl AnswerStore for PostgresStore {
    async fn find_answer(&self, id: [u8; 32], now: Timestamp) -> Result<Option<Answered>, StoreError> {
        const IS_THERE: &str = "SELECT TRUE FROM answers WHERE id = $1 AND expires_at > $2";
        // A commit of which the first caller never heard may have been cut off while it waited for a standby: it is done
        // then, and lost with the primary. What commits after it is on the standby only once it is there as well.
        const CONFIRM: &str = "UPDATE answers SET expires_at = expires_at WHERE id = $1 RETURNING request, answer";
        if self.database.point(IS_THERE, params![id, now]).await?.is_none() {
            return Ok(None);
        }
        let mut tx = Tx::new(&self.database, View::Newest).await?;
        let row = tx.row(CONFIRM, params![id]).await?;
        tx.commit(None).await?;
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
