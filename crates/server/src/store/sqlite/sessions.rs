//! Sessions in SQLite: what is read of them, and the way to the commands.

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::SqliteStore;
use crate::{
    auth::PasswordHash,
    model::{ChangeMeta, Role, Session, SessionId, Timestamp, UserId, UserStatus},
    store::{
        Login, LoginKey, NewSession, RefreshUse, SessionStore, SessionUse, StoreError,
        commands::{
            CreateSession, EndSession, EndSessions, FailSignIn, PurgeSessions, RefreshSession, SetPassword,
            TouchSessions,
        },
    },
};

/// Columns of a session, for [`session_from_row`].
const LIST: &str = "
    SELECT s.id, u.id, s.device, s.remote_address, s.created_at, s.last_used_at, s.expires_at
    FROM sessions s JOIN users u ON u.pk = s.user_pk
    WHERE u.id = ?1 AND s.expires_at > ?2 AND (s.last_used_at, s.id) < (?3, ?4)
    ORDER BY s.last_used_at DESC, s.id DESC LIMIT ?5";

const LOGIN_BY_EMAIL: &str = "
    SELECT u.id, u.role, u.status, c.password_hash
    FROM users u LEFT JOIN credentials c ON c.user_pk = u.pk WHERE u.email_key = ?1";

const LOGIN_BY_USERNAME: &str = "
    SELECT u.id, u.role, u.status, c.password_hash
    FROM users u LEFT JOIN credentials c ON c.user_pk = u.pk WHERE u.username_key = ?1";

#[async_trait]
impl SessionStore for SqliteStore {
    async fn find_login(&self, key: LoginKey) -> Result<Option<Login>, StoreError> {
        self.point(move |connection| {
            let (sql, key) = match &key {
                LoginKey::Email(key) => (LOGIN_BY_EMAIL, key),
                LoginKey::Username(key) => (LOGIN_BY_USERNAME, key),
            };
            Ok(connection.prepare_cached(sql)?.query_row([key], login_from_row).optional()?)
        })
        .await
    }

    async fn create_session(&self, new: NewSession, meta: ChangeMeta) -> Result<(), StoreError> {
        self.writer.execute(CreateSession { new, meta }).await.map(|_| ())
    }

    async fn fail_sign_in(
        &self,
        user_id: Option<UserId>,
        reason: &'static str,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        self.writer.execute(FailSignIn { user_id, reason, meta }).await
    }

    async fn find_session_owner(&self, id: SessionId) -> Result<Option<(UserId, Role)>, StoreError> {
        const SQL: &str = "SELECT u.id, u.role FROM sessions s JOIN users u ON u.pk = s.user_pk WHERE s.id = ?1";
        self.point(move |connection| {
            let owner =
                connection.prepare_cached(SQL)?.query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(owner.optional()?)
        })
        .await
    }

    async fn refresh_session(&self, used: RefreshUse, meta: ChangeMeta) -> Result<Session, StoreError> {
        self.writer.execute(RefreshSession { used, meta }).await?.session()
    }

    async fn list_sessions(
        &self,
        user_id: &UserId,
        now: Timestamp,
        after: Option<(Timestamp, SessionId)>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let user_id = user_id.clone();
        let (time, id) = after.unwrap_or((Timestamp(i64::MAX), SessionId(Uuid::max())));
        self.scan(move |connection| {
            let mut statement = connection.prepare_cached(LIST)?;
            let rows = statement.query_map(params![user_id, now, time, id.0.as_bytes(), limit], session_from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn end_session(&self, user_id: &UserId, id: SessionId, meta: ChangeMeta) -> Result<(), StoreError> {
        self.writer.execute(EndSession { user_id: user_id.clone(), id, meta }).await
    }

    async fn end_sessions(
        &self,
        user_id: &UserId,
        except: Option<SessionId>,
        meta: ChangeMeta,
    ) -> Result<u32, StoreError> {
        self.writer.execute(EndSessions { user_id: user_id.clone(), except, meta }).await
    }

    async fn touch_sessions(&self, uses: Vec<SessionUse>) -> Result<(), StoreError> {
        self.writer.execute(TouchSessions { uses }).await
    }

    async fn purge_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.writer.execute(PurgeSessions { now, limit }).await
    }

    async fn set_password(
        &self,
        user_id: &UserId,
        hash: PasswordHash,
        verified: Option<PasswordHash>,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        self.writer.execute(SetPassword { user_id: user_id.clone(), hash, verified, meta }).await
    }
}

fn login_from_row(row: &Row<'_>) -> rusqlite::Result<Login> {
    let active = row.get::<_, UserStatus>(2)? == UserStatus::Active;
    let hash: Option<String> = row.get(3)?;
    let password_hash = hash.filter(|_| active).map(PasswordHash::from_store);
    Ok(Login { user_id: row.get(0)?, role: row.get(1)?, password_hash })
}

fn session_from_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: SessionId(Uuid::from_bytes(row.get(0)?)),
        user_id: row.get(1)?,
        device: row.get(2)?,
        remote_address: row.get(3)?,
        created_at: row.get(4)?,
        last_used_at: row.get(5)?,
        expires_at: row.get(6)?,
    })
}
