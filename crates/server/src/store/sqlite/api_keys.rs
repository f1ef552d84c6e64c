//! API keys in SQLite.

use async_trait::async_trait;
use rusqlite::{
    Row, ToSql, params,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use super::SqliteStore;
use crate::{
    model::{ApiKey, ApiKeyId, ChangeMeta, Timestamp},
    store::{
        ApiKeyStore, ApiKeyUse, NewApiKey, StoreError,
        api_keys::scopes_from,
        commands::{CreateApiKey, RevokeApiKey, TouchApiKeys},
    },
};

#[async_trait]
impl ApiKeyStore for SqliteStore {
    async fn create_api_key(&self, new: NewApiKey, meta: ChangeMeta) -> Result<(), StoreError> {
        self.writer.execute(CreateApiKey { new, meta }).await
    }

    async fn list_api_keys(&self, after: Option<(Timestamp, ApiKeyId)>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
        // The newest first; there are so few that they are sorted rather than kept in order.
        const SQL: &str =
            "SELECT id, name, prefix, scopes, expires_at, created_at, last_used_at, created_by FROM api_keys
             WHERE ?1 IS NULL OR (created_at, id) < (?1, ?2) ORDER BY created_at DESC, id DESC LIMIT ?3";
        let (at, id) = after.unzip();
        self.scan(move |connection| {
            let mut statement = connection.prepare_cached(SQL)?;
            let rows = statement.query_map(params![at, id, limit], api_key_from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn revoke_api_key(&self, id: ApiKeyId, meta: ChangeMeta) -> Result<(), StoreError> {
        self.writer.execute(RevokeApiKey { id, meta }).await.map(|_| ())
    }

    async fn touch_api_keys(&self, uses: Vec<ApiKeyUse>) -> Result<(), StoreError> {
        self.writer.execute(TouchApiKeys { uses }).await
    }
}

fn api_key_from_row(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get(0)?,
        name: row.get(1)?,
        prefix: row.get(2)?,
        scopes: scopes_from(row.get_ref(3)?.as_str()?),
        expires_at: row.get(4)?,
        created_at: row.get(5)?,
        last_used_at: row.get(6)?,
        created_by: row.get(7)?,
    })
}

impl ToSql for ApiKeyId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for ApiKeyId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?).map(Self).map_err(FromSqlError::other)
    }
}
