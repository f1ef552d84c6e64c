//! Takes a refresh token for the next, or ends the session if it was used before.

use super::{Command, Event, log_event, session_target};
use crate::{
    model::{Action, ChangeMeta, Session, UserStatus},
    store::{
        Ended, RefreshUse, StoreError,
        answers::Kept,
        postgres::{row::column, statement::Statement, tx::Tx, value::params},
        sessions::{REUSED, Refreshed},
    },
};

/// See [`crate::store::SessionStore::refresh_session`].
pub(in crate::store::postgres) struct RefreshSession {
    pub(in crate::store::postgres) used: RefreshUse,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

/// The session and what its token is checked against.
struct Current {
    session: Session,
    generation: u32,
    hash: Vec<u8>,
}

impl Command for RefreshSession {
    type Output = Refreshed;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Refreshed, StoreError> {
        let Some(Current { mut session, generation, hash }) = self.current(tx).await? else {
            return Ok(Refreshed::Refused);
        };
        if self.used.generation < generation {
            tx.queue("DELETE FROM sessions WHERE id = $1", params![session.id.0]);
            let target = session_target(session.id);
            let event = Event { user: Some(&session.user_id), target: &target, reason: REUSED, ..Event::default() };
            log_event(tx, Action::SessionRevoked, &event, &self.meta)?;
            return Ok(Refreshed::Reused { user_id: session.user_id, id: session.id });
        }
        // A token of a later generation is of a database that was since put back to an older backup.
        let (true, Some(next)) = (hash == self.used.hash, generation.checked_add(1)) else {
            return Ok(Refreshed::Refused);
        };
        session.last_used_at = self.meta.at.max(session.last_used_at);
        session.expires_at = self.used.expires_at;
        session.remote_address.clone_from(&self.meta.remote_address);
        tx.queue(
            "UPDATE sessions SET generation = $2, refresh_hash = $3, last_used_at = $4, expires_at = $5,
                                 remote_address = $6
             WHERE id = $1",
            params![
                session.id.0,
                next,
                self.used.next_hash,
                session.last_used_at,
                session.expires_at,
                &session.remote_address,
            ],
        );
        Ok(Refreshed::Renewed(session))
    }

    fn ends(&self, output: &Refreshed) -> Vec<Ended> {
        match output {
            Refreshed::Renewed(_) | Refreshed::Refused => Vec::new(),
            Refreshed::Reused { user_id, id } => vec![Ended::Session { user_id: user_id.clone(), id: *id }],
        }
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, output: &Refreshed) -> Result<Option<Kept>, StoreError> {
        match output {
            Refreshed::Renewed(session) => Kept::prepared(Some(&session.user_id), &self.meta),
            Refreshed::Reused { .. } | Refreshed::Refused => Ok(None),
        }
    }
}

impl RefreshSession {
    /// The session if it has not ended and its user is active. Of parallel uses of one token all but the first wait
    /// here, and then see what that has made of it: the second statement is not run before the first has its lock.
    async fn current(&self, tx: &mut Tx<'_>) -> Result<Option<Current>, StoreError> {
        const LOCK: &str = "SELECT id FROM users
             WHERE pk = (SELECT user_pk FROM sessions WHERE id = $1) AND status = $2 FOR UPDATE";
        const READ: &str =
            "SELECT device, remote_address, created_at, last_used_at, expires_at, generation, refresh_hash
             FROM sessions WHERE id = $1 AND expires_at > $2 FOR UPDATE";
        let id = self.used.id;
        let lock = Statement::new(LOCK, params![id.0, UserStatus::Active as i64]);
        let answers = tx.answers(vec![lock, Statement::new(READ, params![id.0, self.meta.at])]).await?;
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
        let generation = u32::try_from(column::<i64>(row, 5)?);
        let generation = generation.map_err(|_| StoreError::Corrupt("a session has no such generation".into()))?;
        Ok(Some(Current { session, generation, hash: column(row, 6)? }))
    }
}
