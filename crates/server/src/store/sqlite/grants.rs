//! Grants in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{SqliteStore, api_keys::scopes_from};
use crate::{
    model::{ApiKeyId, Grant, PermissionSet, Role, SessionId, Timestamp, UserId, UserStatus},
    store::{GrantStore, Live, StoreError},
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        model::{Actor, ChangeMeta, User},
        store::{
            NewUser, Store as _,
            sqlite::{Location, SqliteOptions},
        },
    };

    const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

    #[tokio::test]
    async fn a_session_is_good_for_its_active_user_until_it_ends() {
        let options =
            SqliteOptions { location: Location::Memory, cache_bytes: 0, write_queue_max: 16, reader_threads: 1 };
        let store = SqliteStore::open(options).unwrap();
        let user = User {
            id: UserId::parse("ada").unwrap(),
            email: "ada@example.com".into(),
            name: String::new(),
            username: String::new(),
            role: Role::Moderator,
            status: UserStatus::Active,
            age: None,
            phone: String::new(),
            locale: String::new(),
            attributes: Default::default(),
            email_verified: false,
            created_at: NOW,
            updated_at: NOW,
            revision: 1,
        };
        let meta = ChangeMeta {
            at: NOW,
            actor: Actor::System,
            request_id: String::new(),
            remote_address: String::new(),
            validate_only: false,
        };
        store.create_user(NewUser { user: user.clone(), password_hash: None, mail: None }, meta.clone()).await.unwrap();
        let id = SessionId(Uuid::from_u128(7));
        let end = Timestamp(NOW.0 + 10);
        let insert = move |connection: &rusqlite::Connection| {
            const SQL: &str = "INSERT INTO sessions SELECT ?1, pk, '', '', 0, 0, ?2, 0, x'' FROM users";
            Ok(connection.execute(SQL, params![&id.0.as_bytes()[..], end])?)
        };
        assert_eq!(store.point(insert).await, Ok(1));

        let find = |user: &UserId, id, now| {
            let (store, user) = (&store, user.clone());
            async move { store.find_session_grant(&user, id, Timestamp(now)).await.unwrap() }
        };
        let live = find(&user.id, id, NOW.0).await.unwrap();
        let expected = Grant::Session { id, user_id: user.id.clone(), role: Role::Moderator, expires_at: end };
        assert!(live.grant == expected && live.stands());
        assert!(find(&user.id, id, end.0 - 1).await.is_some());
        assert!(find(&user.id, id, end.0).await.is_none());
        assert!(find(&user.id, SessionId(Uuid::from_u128(8)), NOW.0).await.is_none());
        assert!(find(&UserId::parse("bea").unwrap(), id, NOW.0).await.is_none());
        store.set_user_status(user.id.clone(), UserStatus::Inactive, None, meta).await.unwrap();
        assert!(!live.stands() && find(&user.id, id, NOW.0).await.is_none());
    }
}
