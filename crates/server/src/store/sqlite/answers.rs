//! The first answers to calls that have an idempotency key, in SQLite, and how a command is run once.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SqliteStore, writer::RunInSqlite};
use crate::{
    model::{Timestamp, UserId},
    store::{AnswerStore, Answered, StoreError, answers::kept_until, commands::PurgeAnswers},
};

/// Runs a command unless its call was answered already, and keeps the answer.
pub(super) fn run_once<C: RunInSqlite>(command: &C, connection: &Connection) -> Result<C::Output, StoreError> {
    let keyed = command.meta().and_then(|meta| Some((meta.at, meta.idempotency.as_ref()?)));
    // What is not kept has happened to nobody.
    let Some((now, call)) = keyed.filter(|_| command.keep()) else { return command.run(connection) };
    if find(connection, &call.id, now)?.is_some() {
        return Err(StoreError::KeyUsed);
    }
    let output = command.run(connection)?;
    if let Some(kept) = command.answer(&output)? {
        let sealed = call.seal(&kept.answer).map_err(StoreError::Unavailable)?;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO answers (id, request, answer, user_id, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![call.id, call.request, sealed, kept.about, kept_until(now)])?;
    }
    Ok(output)
}

/// Takes the answers about a user away. That the calls were answered stays, or a late retry would do again what
/// was undone since.
pub(super) fn forget(connection: &Connection, user_id: &UserId) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE answers SET answer = NULL, user_id = NULL WHERE user_id = ?1")?
        .execute([user_id])?;
    Ok(())
}

fn find(connection: &Connection, id: &[u8; 32], now: Timestamp) -> Result<Option<Answered>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT request, answer FROM answers WHERE id = ?1 AND expires_at > ?2")?
        .query_row(params![id, now], |row| Ok(Answered { request: row.get(0)?, sealed: row.get(1)? }))
        .optional()?)
}

#[async_trait]
impl AnswerStore for SqliteStore {
    async fn find_answer(&self, id: [u8; 32], now: Timestamp) -> Result<Option<Answered>, StoreError> {
        self.point(move |connection| find(connection, &id, now)).await
    }

    async fn purge_answers(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.writer.execute(PurgeAnswers { now, limit }).await
    }
}
