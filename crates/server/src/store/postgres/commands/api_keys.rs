//! Adds and revokes API keys, and notes their use.

use super::{Event, RunInPostgres, log_event};
use crate::{
    model::{Action, ApiKeyId, ChangeMeta, UserId},
    store::{
        API_KEYS_MAX, NewApiKey, StoreError,
        api_keys::scopes_text,
        commands::{CreateApiKey, RevokeApiKey, TouchApiKeys},
        postgres::{
            row::column,
            tx::Tx,
            value::{Value, params},
        },
    },
};

impl RunInPostgres for CreateApiKey {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let NewApiKey { key, hash } = &self.new;
        // One at a time, or two would take the last place. Whoever reads keys does not wait.
        tx.queue("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE", params![]);
        let row = tx.row("SELECT count(*) FROM api_keys", params![]).await?;
        let count: Option<i64> = row.map(|row| column(&row, 0)).transpose()?;
        if count.is_none_or(|count| count >= i64::from(API_KEYS_MAX)) {
            return Err(StoreError::LimitReached);
        }
        tx.queue(
            "INSERT INTO api_keys (id, name, prefix, hash, scopes, expires_at, created_at, last_used_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8)",
            params![
                key.id.0,
                &key.name,
                &key.prefix,
                hash,
                scopes_text(key.scopes),
                key.expires_at,
                key.created_at,
                key.created_by.as_ref(),
            ],
        );
        log(tx, Action::ApiKeyCreated, key.id, &self.meta)
    }
}

impl RunInPostgres for RevokeApiKey {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<UserId>, StoreError> {
        const SQL: &str = "DELETE FROM api_keys WHERE id = $1 RETURNING created_by";
        let row = tx.row(SQL, params![self.id.0]).await?.ok_or(StoreError::NotFound)?;
        log(tx, Action::ApiKeyRevoked, self.id, &self.meta)?;
        column(&row, 0)
    }
}

impl RunInPostgres for TouchApiKeys {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        // In one order on all nodes, so that none waits for another that waits for it.
        const LOCK: &str = "SELECT FROM api_keys WHERE id = ANY($1) ORDER BY id FOR UPDATE";
        const TOUCH: &str = "UPDATE api_keys k SET last_used_at = n.at
             FROM (SELECT id, max(at) AS at FROM unnest($1::UUID[], $2::BIGINT[]) AS n (id, at) GROUP BY id) n
             WHERE k.id = n.id AND (k.last_used_at IS NULL OR k.last_used_at < n.at)";
        let ids: Vec<_> = self.uses.iter().map(|used| used.id.0).collect();
        let times = self.uses.iter().map(|used| Some(used.at.0)).collect();
        tx.queue(LOCK, params![Value::Uuids(ids.clone())]);
        tx.queue(TOUCH, params![Value::Uuids(ids), Value::Ints(times)]);
        Ok(())
    }
}

fn log(tx: &mut Tx<'_>, action: Action, id: ApiKeyId, meta: &ChangeMeta) -> Result<(), StoreError> {
    log_event(tx, action, &Event { target: &format!("api_keys/{id}"), ..Event::default() }, meta)
}
