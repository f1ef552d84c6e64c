//! Grants in PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio_postgres::Row;

use super::{PostgresStore, row::column, value::params};
use crate::{
    model::{ApiKeyId, Grant, PermissionSet, Role, SessionId, Timestamp, UserId, UserStatus},
    store::{GrantStore, Live, StoreError, api_keys::scopes_from},
};

#[async_trait]
impl GrantStore for PostgresStore {
    async fn find_session_grant(
        &self,
        user_id: &UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, StoreError> {
        const SQL: &str = "SELECT u.role, s.expires_at FROM sessions s JOIN users u ON u.pk = s.user_pk
             WHERE s.id = $1 AND u.id = $2 AND u.status = $3 AND s.expires_at > $4";
        // Taken first: what ends while this reads is then known not to stand.
        let ticket = self.live.ticket();
        let row = self.database.point(SQL, params![id.0, user_id, UserStatus::Active as i64, now]).await?;
        let Some(row) = row else { return Ok(None) };
        let user_id = user_id.clone();
        let grant = Grant::Session { id, user_id, role: column(&row, 0)?, expires_at: column(&row, 1)? };
        Ok(Some(self.live.admit(ticket, grant)))
    }

    async fn find_api_key_grant(
        &self,
        id: ApiKeyId,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, StoreError> {
        const SQL: &str = "SELECT k.hash, k.scopes, k.expires_at, k.created_by, u.role
             FROM api_keys k LEFT JOIN users u ON u.id = k.created_by AND u.status = $2
             WHERE k.id = $1 AND (k.expires_at IS NULL OR k.expires_at > $3)";
        let ticket = self.live.ticket();
        let row = self.database.point(SQL, params![id.0, UserStatus::Active as i64, now]).await?;
        let grant = row.map(|row| api_key_grant(id, hash, &row)).transpose()?.flatten();
        Ok(grant.map(|grant| self.live.admit(ticket, grant)))
    }
}

/// Reads `hash, scopes, expires_at, created_by, role`; `None` if the key is another or its maker may give nothing.
fn api_key_grant(id: ApiKeyId, hash: &[u8; 32], row: &Row) -> Result<Option<Grant>, StoreError> {
    if verify_slices_are_equal(column(row, 0)?, hash).is_err() {
        return Ok(None);
    }
    let created_by: Option<UserId> = column(row, 3)?;
    let role: Option<Role> = column(row, 4)?;
    let bound = match (&created_by, role) {
        (None, _) => PermissionSet::ALL,
        (Some(_), Some(role)) => PermissionSet::of_role(role),
        (Some(_), None) => return Ok(None),
    };
    let permissions = scopes_from(column(row, 1)?).and(bound);
    Ok(Some(Grant::ApiKey { id, permissions, created_by, expires_at: column(row, 2)? }))
}
