//! Signing keys in SQLite.

use async_trait::async_trait;
use rusqlite::Connection;
use zeroize::Zeroizing;

use super::SqliteStore;
use crate::{
    model::{ChangeMeta, Timestamp},
    store::{
        SigningKey, SigningKeyStore, StoreError,
        commands::{EnsureSigningKey, PurgeSigningKeys, RotateSigningKey},
    },
};

#[async_trait]
impl SigningKeyStore for SqliteStore {
    async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, StoreError> {
        self.point(all).await
    }

    async fn ensure_signing_key(&self, fresh: SigningKey) -> Result<Vec<SigningKey>, StoreError> {
        self.writer.execute(EnsureSigningKey { fresh }).await
    }

    async fn rotate_signing_key(&self, fresh: SigningKey, meta: ChangeMeta) -> Result<Vec<SigningKey>, StoreError> {
        self.writer.execute(RotateSigningKey { fresh, meta }).await
    }

    async fn purge_signing_keys(&self, retired_before: Timestamp) -> Result<u32, StoreError> {
        self.writer.execute(PurgeSigningKeys { retired_before }).await
    }
}

/// All keys, the one that signs first.
pub(super) fn all(connection: &Connection) -> Result<Vec<SigningKey>, StoreError> {
    const SQL: &str = "SELECT id, private_key, public_key, created_at, retired_at FROM signing_keys
         ORDER BY retired_at IS NOT NULL, retired_at DESC, id";
    let mut statement = connection.prepare_cached(SQL)?;
    let rows = statement.query_map([], |row| {
        Ok(SigningKey {
            id: row.get(0)?,
            private_key: Zeroizing::new(row.get(1)?),
            public_key: row.get(2)?,
            created_at: row.get(3)?,
            retired_at: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
