//! Sessions in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    auth::PasswordHash,
    model::{ChangeMeta, Role, Session, SessionId, Timestamp, UserId},
    store::{Login, LoginKey, NewSession, RefreshUse, SessionStore, SessionUse, StoreError},
};

#[async_trait]
impl SessionStore for PostgresStore {
    async fn find_login(&self, key: LoginKey) -> Result<Option<Login>, StoreError> {
        unimplemented!()
    }

    async fn create_session(&self, new: NewSession, meta: ChangeMeta) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn fail_sign_in(
        &self,
        user_id: Option<UserId>,
        reason: &'static str,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn find_session_owner(&self, id: SessionId) -> Result<Option<(UserId, Role)>, StoreError> {
        unimplemented!()
    }

    async fn refresh_session(&self, used: RefreshUse, meta: ChangeMeta) -> Result<Session, StoreError> {
        unimplemented!()
    }

    async fn list_sessions(
        &self,
        user_id: &UserId,
        now: Timestamp,
        after: Option<(Timestamp, SessionId)>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        unimplemented!()
    }

    async fn end_session(&self, user_id: &UserId, id: SessionId, meta: ChangeMeta) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn end_sessions(
        &self,
        user_id: &UserId,
        except: Option<SessionId>,
        meta: ChangeMeta,
    ) -> Result<u32, StoreError> {
        unimplemented!()
    }

    async fn touch_sessions(&self, uses: Vec<SessionUse>) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn purge_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        unimplemented!()
    }

    async fn set_password(
        &self,
        user_id: &UserId,
        hash: PasswordHash,
        verified: Option<PasswordHash>,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
}
