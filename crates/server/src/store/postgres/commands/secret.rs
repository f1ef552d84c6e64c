//! Secrets of the installation, such as the key that page tokens are signed with.

use super::RunInPostgres;
use crate::store::{
    StoreError,
    commands::Secret,
    postgres::{row::column, tx::Tx, value::params},
};

impl RunInPostgres for Secret {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<[u8; 32], StoreError> {
        let fresh = Self::fresh()?;
        tx.queue("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", params![self.name, fresh]);
        let row = tx.row("SELECT value FROM secrets WHERE name = $1", params![self.name]).await?;
        let value: Vec<u8> = column(&row.ok_or_else(|| StoreError::Internal("a secret is gone".into()))?, 0)?;
        value.try_into().map_err(|_| StoreError::Corrupt(format!("the secret {} is not 32 bytes long", self.name)))
    }
}
