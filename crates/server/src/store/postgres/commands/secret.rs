//! Secrets of the installation, such as the key that page tokens are signed with.

use super::Command;
use crate::store::{
    StoreError,
    postgres::{row::column, tx::Tx, value::params},
};

/// See [`crate::store::Store::secret`].
pub(in crate::store::postgres) struct Secret {
    pub(in crate::store::postgres) name: &'static str,
}

impl Command for Secret {
    type Output = [u8; 32];

    async fn run(&self, tx: &mut Tx<'_>) -> Result<[u8; 32], StoreError> {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        tx.queue("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", params![self.name, fresh]);
        let row = tx.row("SELECT value FROM secrets WHERE name = $1", params![self.name]).await?;
        let value: Vec<u8> = column(&row.ok_or_else(|| StoreError::Internal("a secret is gone".into()))?, 0)?;
        value.try_into().map_err(|_| StoreError::Corrupt(format!("the secret {} is not 32 bytes long", self.name)))
    }
}
