//! Sessions in PostgreSQL: what is read of them, and the way to the commands.

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{PostgresStore, row::column, value::params};
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
    WHERE u.id = $1 AND s.expires_at > $2 AND (s.last_used_at, s.id) < ($3, $4)
    ORDER BY s.last_used_at DESC, s.id DESC LIMIT $5";

const LOGIN_BY_EMAIL: &str = "
    SELECT u.id, u.role, u.status, c.password_hash
    FROM users u LEFT JOIN credentials c ON c.user_pk = u.pk WHERE u.email_key = $1";

const LOGIN_BY_USERNAME: &str = "
    SELECT u.id, u.role, u.status, c.password_hash
    FROM users u LEFT JOIN credentials c ON c.user_pk = u.pk WHERE u.username_key = $1";

#[async_trait]
impl SessionStore for PostgresStore {
    async fn find_login(&self, key: LoginKey) -> Result<Option<Login>, StoreError> {
        let (sql, key) = match key {
            LoginKey::Email(key) => (LOGIN_BY_EMAIL, key),
            LoginKey::Username(key) => (LOGIN_BY_USERNAME, key),
        };
        let row = self.database.point(sql, params![key]).await?;
        row.map(|row| login_from_row(&row)).transpose()
    }

    async fn create_session(&self, new: NewSession, meta: ChangeMeta) -> Result<(), StoreError> {
        self.execute(CreateSession { new, meta }).await.map(drop)
    }

    async fn fail_sign_in(
        &self,
        user_id: Option<UserId>,
        reason: &'static str,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        self.execute(FailSignIn { user_id, reason, meta }).await
    }

    async fn find_session_owner(&self, id: SessionId) -> Result<Option<(UserId, Role)>, StoreError> {
        const SQL: &str = "SELECT u.id, u.role FROM sessions s JOIN users u ON u.pk = s.user_pk WHERE s.id = $1";
        let row = self.database.point(SQL, params![id.0]).await?;
        row.map(|row| Ok((column(&row, 0)?, column(&row, 1)?))).transpose()
    }

    async fn refresh_session(&self, used: RefreshUse, meta: ChangeMeta) -> Result<Session, StoreError> {
        self.execute(RefreshSession { used, meta }).await?.session()
    }

    async fn list_sessions(
        &self,
        user_id: &UserId,
        now: Timestamp,
        after: Option<(Timestamp, SessionId)>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let (time, id) = after.unwrap_or((Timestamp(i64::MAX), SessionId(Uuid::max())));
        let rows = self.database.rows(LIST, params![user_id, now, time, id.0, limit]).await?;
        rows.iter().map(session_from_row).collect()
    }

    async fn end_session(&self, user_id: &UserId, id: SessionId, meta: ChangeMeta) -> Result<(), StoreError> {
        self.execute(EndSession { user_id: user_id.clone(), id, meta }).await
    }

    async fn end_sessions(
        &self,
        user_id: &UserId,
        except: Option<SessionId>,
        meta: ChangeMeta,
    ) -> Result<u32, StoreError> {
        self.execute(EndSessions { user_id: user_id.clone(), except, meta }).await
    }

    async fn touch_sessions(&self, uses: Vec<SessionUse>) -> Result<(), StoreError> {
        self.execute(TouchSessions { uses }).await
    }

    async fn purge_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.execute(PurgeSessions { now, limit }).await
    }

    async fn set_password(
        &self,
        user_id: &UserId,
        hash: PasswordHash,
        verified: Option<PasswordHash>,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        self.execute(SetPassword { user_id: user_id.clone(), hash, verified, meta }).await
    }
}

fn login_from_row(row: &Row) -> Result<Login, StoreError> {
    let active = column::<UserStatus>(row, 2)? == UserStatus::Active;
    let hash: Option<String> = column(row, 3)?;
    let password_hash = hash.filter(|_| active).map(PasswordHash::from_store);
    Ok(Login { user_id: column(row, 0)?, role: column(row, 1)?, password_hash })
}

fn session_from_row(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId(column(row, 0)?),
        user_id: column(row, 1)?,
        device: column(row, 2)?,
        remote_address: column(row, 3)?,
        created_at: column(row, 4)?,
        last_used_at: column(row, 5)?,
        expires_at: column(row, 6)?,
    })
}
