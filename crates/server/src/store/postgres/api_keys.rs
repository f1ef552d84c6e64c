//! API keys in PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{PostgresStore, row::column, tx::View, value::params};
use crate::{
    model::{ApiKey, ApiKeyId, ChangeMeta, Timestamp},
    store::{
        ApiKeyStore, ApiKeyUse, NewApiKey, StoreError,
        api_keys::scopes_from,
        commands::{CreateApiKey, RevokeApiKey, TouchApiKeys},
    },
};

#[async_trait]
impl ApiKeyStore for PostgresStore {
    async fn create_api_key(&self, new: NewApiKey, meta: ChangeMeta) -> Result<(), StoreError> {
        self.execute(CreateApiKey { new, meta }).await
    }

    async fn list_api_keys(&self, after: Option<(Timestamp, ApiKeyId)>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
        // The newest first; there are so few that they are sorted rather than kept in order.
        const SQL: &str =
            "SELECT id, name, prefix, scopes, expires_at, created_at, last_used_at, created_by FROM api_keys
             WHERE $1::BIGINT IS NULL OR (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3";
        let (at, id) = after.unzip();
        let rows = self.read(View::Alone, async |tx| tx.rows(SQL, params![at, id.map(|id| id.0), limit]).await).await?;
        rows.iter().map(api_key_from_row).collect()
    }

    async fn revoke_api_key(&self, id: ApiKeyId, meta: ChangeMeta) -> Result<(), StoreError> {
        self.execute(RevokeApiKey { id, meta }).await.map(drop)
    }

    async fn touch_api_keys(&self, uses: Vec<ApiKeyUse>) -> Result<(), StoreError> {
        self.execute(TouchApiKeys { uses }).await
    }
}

fn api_key_from_row(row: &Row) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: ApiKeyId(column(row, 0)?),
        name: column(row, 1)?,
        prefix: column(row, 2)?,
        scopes: scopes_from(column(row, 3)?),
        expires_at: column(row, 4)?,
        created_at: column(row, 5)?,
        last_used_at: column(row, 6)?,
        created_by: column(row, 7)?,
    })
}
