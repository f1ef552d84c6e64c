//! Signing keys in PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::Row;
use zeroize::Zeroizing;

use super::{PostgresStore, row::column, value::params};
use crate::{
    model::{ChangeMeta, Timestamp},
    store::{
        SigningKey, SigningKeyStore, StoreError,
        commands::{EnsureSigningKey, PurgeSigningKeys, RotateSigningKey},
    },
};

/// All keys, the one that signs first; for [`keys_from_rows`].
pub(super) const ALL: &str = "SELECT id, private_key, public_key, created_at, retired_at FROM signing_keys
     ORDER BY retired_at IS NOT NULL, retired_at DESC, id";

#[async_trait]
impl SigningKeyStore for PostgresStore {
    async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, StoreError> {
        keys_from_rows(&self.database.rows(ALL, params![]).await?)
    }

    async fn ensure_signing_key(&self, fresh: SigningKey) -> Result<Vec<SigningKey>, StoreError> {
        self.execute(EnsureSigningKey { fresh }).await
    }

    async fn rotate_signing_key(&self, fresh: SigningKey, meta: ChangeMeta) -> Result<Vec<SigningKey>, StoreError> {
        self.execute(RotateSigningKey { fresh, meta }).await
    }

    async fn purge_signing_keys(&self, retired_before: Timestamp) -> Result<u32, StoreError> {
        self.execute(PurgeSigningKeys { retired_before }).await
    }
}

/// What [`ALL`] gives.
pub(super) fn keys_from_rows(rows: &[Row]) -> Result<Vec<SigningKey>, StoreError> {
    let key = |row: &Row| {
        Ok(SigningKey {
            id: column(row, 0)?,
            private_key: Zeroizing::new(column(row, 1)?),
            public_key: column(row, 2)?,
            created_at: column(row, 3)?,
            retired_at: column(row, 4)?,
        })
    };
    rows.iter().map(key).collect()
}
