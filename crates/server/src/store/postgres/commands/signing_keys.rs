//! Makes, rotates and removes the keys that sign access tokens.

use super::{Event, RunInPostgres, log_event};
use crate::{
    model::Action,
    store::{
        SigningKey, StoreError,
        commands::{EnsureSigningKey, PurgeSigningKeys, RotateSigningKey},
        postgres::{
            signing_keys::{ALL, keys_from_rows},
            tx::Tx,
            value::params,
        },
    },
};

impl RunInPostgres for EnsureSigningKey {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<SigningKey>, StoreError> {
        insert(tx, &self.fresh);
        keys_from_rows(&tx.rows(ALL, params![]).await?)
    }
}

impl RunInPostgres for RotateSigningKey {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<SigningKey>, StoreError> {
        // One at a time, or the second would not see the key of the first and leave it as it is.
        tx.queue("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE", params![]);
        tx.queue("UPDATE signing_keys SET retired_at = $1 WHERE retired_at IS NULL", params![self.meta.at]);
        insert(tx, &self.fresh);
        let target = format!("signing_keys/{}", self.fresh.id);
        log_event(tx, Action::KeysRotated, &Event { target: &target, ..Event::default() }, &self.meta)?;
        keys_from_rows(&tx.rows(ALL, params![]).await?)
    }
}

impl RunInPostgres for PurgeSigningKeys {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        let removed =
            tx.affected("DELETE FROM signing_keys WHERE retired_at < $1", params![self.retired_before]).await?;
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }
}

/// Adds the key unless one signs already.
fn insert(tx: &mut Tx<'_>, key: &SigningKey) {
    const SQL: &str = "INSERT INTO signing_keys (id, private_key, public_key, created_at, retired_at)
         VALUES ($1, $2, $3, $4, NULL) ON CONFLICT ((TRUE)) WHERE retired_at IS NULL DO NOTHING";
    tx.queue(SQL, params![&key.id, key.private_key.as_slice(), key.public_key.as_slice(), key.created_at]);
}
