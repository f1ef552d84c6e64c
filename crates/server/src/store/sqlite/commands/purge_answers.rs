//! Removes answers that need not be kept any more.

use rusqlite::{Connection, params};

use crate::{
    model::Timestamp,
    store::{StoreError, sqlite::writer::Command},
};

/// See [`crate::store::AnswerStore::purge_answers`].
pub(in crate::store::sqlite) struct PurgeAnswers {
    pub(in crate::store::sqlite) now: Timestamp,
    pub(in crate::store::sqlite) limit: u32,
}

impl Command for PurgeAnswers {
    type Output = u32;

    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let purged = connection
            .prepare_cached("DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE expires_at <= ?1 LIMIT ?2)")?
            .execute(params![self.now, self.limit])?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}
