//! Grants in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rusqlite::{OptionalExtension as _, Row, params};

use super::SqliteStore;
use crate::{
    model::{ApiKeyId, Grant, PermissionSet, Role, SessionId, Timestamp, UserId, UserStatus},
    store::{GrantStore, Live, StoreError, api_keys::scopes_from},
};

#[async_trait]
impl GrantStore for SqliteStore {
    async fn find_session_grant(
        &self,
        user_id: &UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, StoreError> {
        const SQL: &str = "SELECT u.role, s.expires_at FROM sessions s JOIN users u ON u.pk = s.user_pk
             WHERE s.id = ?1 AND u.id = ?2 AND u.status = ?3 AND s.expires_at > ?4";
        // Taken first: what ends while this reads is then known not to stand.
        let ticket = self.live.ticket();
        let user_id = user_id.clone();
        let grant = self.point(move |connection| {
            let found = connection
                .prepare_cached(SQL)?
                .query_row(params![&id.0.as_bytes()[..], user_id, UserStatus::Active as i64, now], |row| {
                    Ok(Grant::Session { id, user_id: user_id.clone(), role: row.get(0)?, expires_at: row.get(1)? })
                })
                .optional()?;
            Ok(found)
        });
        Ok(grant.await?.map(|grant| self.live.admit(ticket, grant)))
    }

    async fn find_api_key_grant(
        &self,
        id: ApiKeyId,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Arc<Live>>, StoreError> {
        const SQL: &str = "SELECT k.hash, k.scopes, k.expires_at, k.created_by, u.role
             FROM api_keys k LEFT JOIN users u ON u.id = k.created_by AND u.status = ?2
             WHERE k.id = ?1 AND (k.expires_at IS NULL OR k.expires_at > ?3)";
        let ticket = self.live.ticket();
        let hash = *hash;
        let grant = self.point(move |connection| {
            let read = |row: &Row<'_>| api_key_grant(id, &hash, row);
            let found = connection
                .prepare_cached(SQL)?
                .query_row(params![id, UserStatus::Active as i64, now], read)
                .optional()?;
            Ok(found.flatten())
        });
        Ok(grant.await?.map(|grant| self.live.admit(ticket, grant)))
    }
}

/// Reads `hash, scopes, expires_at, created_by, role`; `None` if the key is another or its maker may give nothing.
fn api_key_grant(id: ApiKeyId, hash: &[u8; 32], row: &Row<'_>) -> rusqlite::Result<Option<Grant>> {
    if verify_slices_are_equal(row.get_ref(0)?.as_blob()?, hash).is_err() {
        return Ok(None);
    }
    let created_by: Option<UserId> = row.get(3)?;
    let role: Option<Role> = row.get(4)?;
    let bound = match (&created_by, role) {
        (None, _) => PermissionSet::ALL,
        (Some(_), Some(role)) => PermissionSet::of_role(role),
        (Some(_), None) => return Ok(None),
    };
    let permissions = scopes_from(row.get_ref(1)?.as_str()?).and(bound);
    Ok(Some(Grant::ApiKey { id, permissions, created_by, expires_at: row.get(2)? }))
}
