//! Erases what the log has of a deleted user whose history was too long to be erased with the user.

use super::RunInPostgres;
use crate::store::{
    StoreError,
    commands::Command,
    postgres::{row::column, tx::Tx, value::params},
};

/// Rows of the log that one transaction erases.
pub(super) const ROWS_AT_ONCE: i64 = 20_000;

/// One piece of the history of one user. Gives whether there may be more to erase.
pub(in crate::store::postgres) struct EraseHistory;

impl Command for EraseHistory {
    type Output = bool;
}

impl RunInPostgres for EraseHistory {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        // Another server may be at it.
        const NEXT: &str = "SELECT user_id, actor, seq, done_upto FROM erasures LIMIT 1 FOR UPDATE SKIP LOCKED";
        let Some(erasure) = tx.row(NEXT, params![]).await? else { return Ok(false) };
        let (id, actor): (&[u8], &str) = (column(&erasure, 0)?, column(&erasure, 1)?);
        let (end, done_upto): (i64, i64) = (column(&erasure, 2)?, column(&erasure, 3)?);

        const OF_THE_USER: &str = "WITH piece AS (
                SELECT seq FROM changes WHERE user_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4
            ), erased AS (
                UPDATE changes c SET before = NULL, after = NULL, remote_address = '' FROM piece p
                WHERE c.seq = p.seq AND (c.before IS NOT NULL OR c.after IS NOT NULL OR c.remote_address <> '')
            ), noted AS (
                UPDATE erasures SET done_upto = greatest(done_upto, (SELECT max(seq) FROM piece)) WHERE user_id = $1
            ) SELECT count(*) FROM piece";
        let piece = tx.row(OF_THE_USER, params![id, done_upto, end, ROWS_AT_ONCE]).await?;
        let count: i64 = piece.map_or(Ok(0), |row| column(&row, 0))?;
        if count == ROWS_AT_ONCE {
            return Ok(true);
        }

        const BY_THE_USER: &str = "UPDATE changes SET remote_address = '' WHERE seq IN (
                SELECT seq FROM changes WHERE actor = $1 AND by_another AND remote_address <> '' AND seq < $2 LIMIT $3)";
        let count = tx.affected(BY_THE_USER, params![actor, end, ROWS_AT_ONCE]).await?;
        if i64::try_from(count).unwrap_or(i64::MAX) < ROWS_AT_ONCE {
            tx.queue("DELETE FROM erasures WHERE user_id = $1", params![id]);
        }
        Ok(true)
    }
}
