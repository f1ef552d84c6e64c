//! Takes a refresh token for the next, or ends the session if it was used before.

use super::{Event, RunInPostgres, log_event};
use crate::{
    model::{Action, Session, UserStatus},
    store::{
        StoreError,
        commands::{Judged, Presented, RefreshSession, Refreshed, session_target},
        postgres::{row::column, statement::Statement, tx::Tx, value::params},
        sessions::REUSED,
    },
};

impl RunInPostgres for RefreshSession {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Refreshed, StoreError> {
        let Some(presented) = presented(tx, self).await? else { return Ok(Refreshed::Refused) };
        match self.judge(presented) {
            Judged::Refused => Ok(Refreshed::Refused),
            Judged::Reused(Session { id, user_id, .. }) => {
                tx.queue("DELETE FROM sessions WHERE id = $1", params![id.0]);
                let target = session_target(id);
                let event = Event { user: Some(&user_id), target: &target, reason: REUSED, ..Event::default() };
                log_event(tx, Action::SessionRevoked, &event, &self.meta)?;
                Ok(Refreshed::Reused { user_id, id })
            }
            Judged::Renewed(session, generation) => {
                write(tx, &session, generation, self.used.next_hash);
                Ok(Refreshed::Renewed(session))
            }
        }
    }
}

fn write(tx: &mut Tx<'_>, session: &Session, generation: u32, hash: [u8; 32]) {
    tx.queue(
        "UPDATE sessions SET generation = $2, refresh_hash = $3, last_used_at = $4, expires_at = $5,
                             remote_address = $6
         WHERE id = $1",
        params![session.id.0, generation, hash, session.last_used_at, session.expires_at, &session.remote_address,],
    );
}

/// The session if it has not ended and its user is active. Of parallel uses of one token all but the first wait here, and
/// then see what that has made of it: the second statement is not run before the first has its lock.
async fn presented(tx: &mut Tx<'_>, command: &RefreshSession) -> Result<Option<Presented>, StoreError> {
    const LOCK: &str = "SELECT id FROM users
         WHERE pk = (SELECT user_pk FROM sessions WHERE id = $1) AND status = $2 FOR UPDATE";
    const READ: &str = "SELECT device, remote_address, created_at, last_used_at, expires_at, generation, refresh_hash
         FROM sessions WHERE id = $1 AND expires_at > $2 FOR UPDATE";
    let id = command.used.id;
    let lock = Statement::new(LOCK, params![id.0, UserStatus::Active as i64]);
    let answers = tx.answers(vec![lock, Statement::new(READ, params![id.0, command.meta.at])]).await?;
    let [user, session] = &answers[..] else { return Err(StoreError::Internal("an answer is missing".into())) };
    let (Some(user), Some(row)) = (user.rows.first(), session.rows.first()) else { return Ok(None) };
    let session = Session {
        id,
        user_id: column(user, 0)?,
        device: column(row, 0)?,
        remote_address: column(row, 1)?,
        created_at: column(row, 2)?,
        last_used_at: column(row, 3)?,
        expires_at: column(row, 4)?,
    };
    let corrupt = |what| StoreError::Corrupt(format!("a session has no such {what}"));
    let generation = u32::try_from(column::<i64>(row, 5)?).map_err(|_| corrupt("generation"))?;
    let hash = column::<Vec<u8>>(row, 6)?.try_into().map_err(|_| corrupt("hash"))?;
    Ok(Some(Presented { session, generation, hash }))
}
