//! Begins a session, with the hash of the password that was made anew on the way.

use uuid::Uuid;

use super::{Event, RunInPostgres, log_event};
use crate::{
    model::{Action, SessionId, UserId, UserStatus},
    store::{
        NewSession, StoreError,
        commands::{CreateSession, session_target},
        postgres::{row::column, statement::Statement, tx::Tx, value::params},
        sessions::SESSIONS_MAX,
    },
};

impl RunInPostgres for CreateSession {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<SessionId>, StoreError> {
        let NewSession { session, refresh_hash, verified, rehashed } = &self.new;
        let user = active_user(tx, &session.user_id).await?;
        if user.hash.as_deref() != Some(verified.as_str()) {
            return Err(StoreError::Stale);
        }
        let ended = if user.sessions < SESSIONS_MAX { Vec::new() } else { make_room(tx, user.pk).await? };
        tx.queue(
            "INSERT INTO sessions (id, user_pk, device, remote_address, created_at, last_used_at, expires_at,
                                   generation, refresh_hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)",
            params![
                session.id.0,
                user.pk,
                &session.device,
                &session.remote_address,
                session.created_at,
                session.last_used_at,
                session.expires_at,
                refresh_hash,
            ],
        );
        if let Some(rehashed) = rehashed {
            let values = params![user.pk, rehashed.as_str()];
            tx.queue("UPDATE credentials SET password_hash = $2 WHERE user_pk = $1", values);
        }
        let mut log = |action, id| {
            let target = session_target(id);
            let event = Event { user: Some(&session.user_id), target: &target, ..Event::default() };
            log_event(tx, action, &event, &self.meta)
        };
        ended.iter().try_for_each(|id| log(Action::SessionRevoked, *id))?;
        log(Action::SignedIn, session.id)?;
        Ok(ended)
    }
}

/// What a sign-in needs to know of its user.
struct SigningIn {
    pk: i64,
    hash: Option<String>,
    sessions: i64,
}

/// The user, locked. What hangs on the user is read by a statement of its own, after the lock: by the same one it would
/// be read as it was before the lock was waited for, such as a password that has changed meanwhile.
async fn active_user(tx: &mut Tx<'_>, id: &UserId) -> Result<SigningIn, StoreError> {
    const LOCK: &str = "SELECT pk FROM users WHERE id = $1 AND status = $2 FOR UPDATE";
    const READ: &str = "SELECT c.password_hash, (SELECT count(*) FROM sessions s WHERE s.user_pk = u.pk)
         FROM users u LEFT JOIN credentials c ON c.user_pk = u.pk WHERE u.id = $1";
    let lock = Statement::new(LOCK, params![id, UserStatus::Active as i64]);
    let answers = tx.answers(vec![lock, Statement::new(READ, params![id])]).await?;
    let [locked, read] = &answers[..] else { return Err(StoreError::Internal("an answer is missing".into())) };
    let (Some(locked), Some(read)) = (locked.rows.first(), read.rows.first()) else { return Err(StoreError::NotFound) };
    Ok(SigningIn { pk: column(locked, 0)?, hash: column(read, 0)?, sessions: column(read, 1)? })
}

/// Ends the sessions that were not used for longest, so that there is room for one more.
async fn make_room(tx: &mut Tx<'_>, pk: i64) -> Result<Vec<SessionId>, StoreError> {
    const SQL: &str = "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE user_pk = $1 ORDER BY last_used_at DESC, id DESC OFFSET $2)
         RETURNING id";
    let ended = tx.rows(SQL, params![pk, SESSIONS_MAX - 1]).await?;
    ended.iter().map(|row| column::<Uuid>(row, 0).map(SessionId)).collect()
}
