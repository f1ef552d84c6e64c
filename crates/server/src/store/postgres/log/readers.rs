//! What reads that may be old want to know of the log: who has changed, and where the log ends.

use std::{sync::Arc, time::Instant};

use tokio_postgres::Client;

use crate::{
    model::UserId,
    store::{
        StoreError,
        postgres::{
            near::Near,
            replicas::{Mark, Replicas},
            row::column,
        },
    },
};

/// Those who serve such reads.
#[derive(Clone)]
pub(in crate::store::postgres) struct Readers {
    pub(in crate::store::postgres) near: Arc<Near>,
    pub(in crate::store::postgres) replicas: Arc<Replicas>,
}

impl Readers {
    /// Tells them what a round has found that began at this time: rows up to `newest`, after those up to `upto`; `None` for
    /// those of a session that was made anew, or of too many to look at.
    pub(super) async fn hear(
        &self,
        client: &Client,
        began: Instant,
        upto: Option<i64>,
        newest: i64,
    ) -> Result<(), StoreError> {
        match upto {
            Some(upto) if upto == newest => {}
            Some(upto) if self.near.is_in_use() => {
                let changed = changed(client, upto, newest).await?;
                self.near.forget(Some(&changed));
            }
            Some(_) => {}
            None => self.near.forget(None),
        }
        let Some(marks) = self.replicas.marks() else { return Ok(()) };
        if upto.is_none() {
            marks.clear();
        }
        let mark = match marks.newest().filter(|mark| mark.position == newest) {
            Some(mark) => Some(mark),
            None => mark_at(client, newest).await?,
        };
        if let Some(mark) = mark {
            marks.note(began, mark);
        }
        Ok(())
    }
}

/// The users who have changed, or whose preferences have.
async fn changed(client: &Client, upto: i64, newest: i64) -> Result<Vec<UserId>, StoreError> {
    const SQL: &str = "SELECT DISTINCT c.user_id FROM positions p JOIN changes c ON c.seq = p.seq
         WHERE p.position > $1 AND p.position <= $2 AND (c.revision > 0 OR c.action = 'preferences.updated')";
    let rows = client.query(SQL, &[&upto, &newest]).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// The mark at a position; `None` if nothing was ever logged.
async fn mark_at(client: &Client, position: i64) -> Result<Option<Mark>, StoreError> {
    const SQL: &str = "SELECT concat_ws(' ', c.seq, c.at, c.request_id)
         FROM positions p JOIN changes c ON c.seq = p.seq WHERE p.position = $1";
    let row = client.query_opt(SQL, &[&position]).await?;
    row.map(|row| Ok(Mark { position, row: column::<&str>(&row, 0)?.into() })).transpose()
}
