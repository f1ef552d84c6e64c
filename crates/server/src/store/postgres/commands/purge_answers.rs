//! Removes answers that need not be kept any more.

use super::Command;
use crate::{
    model::Timestamp,
    store::{
        StoreError,
        postgres::{tx::Tx, value::params},
    },
};

/// See [`crate::store::AnswerStore::purge_answers`].
pub(in crate::store::postgres) struct PurgeAnswers {
    pub(in crate::store::postgres) now: Timestamp,
    pub(in crate::store::postgres) limit: u32,
}

impl Command for PurgeAnswers {
    type Output = u32;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        const SQL: &str = "DELETE FROM answers WHERE id IN
             (SELECT id FROM answers WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let purged = tx.affected(SQL, params![self.now, self.limit]).await?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}
