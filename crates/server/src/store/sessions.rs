//! Sessions, as a store keeps them.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    auth::PasswordHash,
    model::{ChangeMeta, Role, Session, SessionId, Timestamp, UserId},
};

/// Sessions that a user may have; one more ends the one that was not used for longest.
pub(super) const SESSIONS_MAX: i64 = 100;

/// Why a session ended that nobody ended: the reason that the caller gets.
pub(super) const REUSED: &str = "REFRESH_TOKEN_INVALID";

/// The name that somebody signs in with, as its [unique key](crate::model::text::unique_key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginKey {
    /// An email address.
    Email(String),
    /// A username.
    Username(String),
}

/// What a sign-in needs to know of a user.
#[derive(Clone, Debug)]
pub struct Login {
    /// Whose login it is.
    pub user_id: UserId,
    /// The user's role.
    pub role: Role,
    /// What the password is checked against; `None` if the user has no password or is inactive.
    pub password_hash: Option<PasswordHash>,
}

/// A session to begin.
#[derive(Debug)]
pub struct NewSession {
    /// The session, not yet used.
    pub session: Session,
    /// SHA-256 of its first refresh token.
    pub refresh_hash: [u8; 32],
    /// What the password was checked against.
    pub verified: PasswordHash,
    /// The password's hash by today's parameters, if the stored one is of others.
    pub rehashed: Option<PasswordHash>,
}

/// The use of a refresh token whose MAC was right.
#[derive(Clone, Debug)]
pub struct RefreshUse {
    /// The session that the token names.
    pub id: SessionId,
    /// Which of the session's tokens it is, counted from 0.
    pub generation: u32,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// SHA-256 of the token that takes its place.
    pub next_hash: [u8; 32],
    /// When the session ends if that is not used.
    pub expires_at: Timestamp,
}

/// The last use of a session, for [`SessionStore::touch_sessions`].
#[derive(Clone, Debug)]
pub struct SessionUse {
    /// Which.
    pub id: SessionId,
    /// When.
    pub at: Timestamp,
    /// From where: an IP address.
    pub remote_address: String,
}

/// Sessions. Like every command of the store, each is one atomic commit with its event in the change log.
#[async_trait]
pub trait SessionStore {
    /// The user with this login, or `None`.
    async fn find_login(&self, key: LoginKey) -> Result<Option<Login>, StoreError>;

    /// Begins a session. [`StoreError::NotFound`] if there is no such user or the user is inactive;
    /// [`StoreError::Stale`] if the user's password is not any more what was verified.
    async fn create_session(&self, new: NewSession, meta: ChangeMeta) -> Result<(), StoreError>;

    /// Notes that a sign-in was refused and why: the reason of its error. `None` for a login that nobody has.
    async fn fail_sign_in(
        &self,
        user_id: Option<UserId>,
        reason: &'static str,
        meta: ChangeMeta,
    ) -> Result<(), StoreError>;

    /// Whose session this is, and the user's role; `None` if there is no such session.
    async fn find_session_owner(&self, id: SessionId) -> Result<Option<(UserId, Role)>, StoreError>;

    /// Takes a refresh token for the next. [`StoreError::NotFound`] if it is not the session's current one, the session
    /// has ended, or its user is inactive; if it is one that was used before, the session ends.
    async fn refresh_session(&self, used: RefreshUse, meta: ChangeMeta) -> Result<Session, StoreError>;

    /// Up to `limit` sessions of a user that have not ended, the last used first, after this place.
    async fn list_sessions(
        &self,
        user_id: &UserId,
        now: Timestamp,
        after: Option<(Timestamp, SessionId)>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// Ends one session. [`StoreError::NotFound`] if the user has none of this id.
    async fn end_session(&self, user_id: &UserId, id: SessionId, meta: ChangeMeta) -> Result<(), StoreError>;

    /// Ends all sessions of a user but one; how many. [`StoreError::NotFound`] if there is no such user.
    async fn end_sessions(
        &self,
        user_id: &UserId,
        except: Option<SessionId>,
        meta: ChangeMeta,
    ) -> Result<u32, StoreError>;

    /// Notes when and from where sessions were last used. No event: nobody's doing.
    async fn touch_sessions(&self, uses: Vec<SessionUse>) -> Result<(), StoreError>;

    /// Removes up to `limit` sessions that have ended by themselves; how many.
    async fn purge_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Sets the password and ends every session of the user. [`StoreError::NotFound`] if there is no such user;
    /// [`StoreError::Stale`] if `verified` is given and is not any more what the user signs in with.
    async fn set_password(
        &self,
        user_id: &UserId,
        hash: PasswordHash,
        verified: Option<PasswordHash>,
        meta: ChangeMeta,
    ) -> Result<(), StoreError>;
}
