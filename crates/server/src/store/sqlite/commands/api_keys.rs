//! Adds and revokes API keys, and notes their use.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Event, log_event};
use crate::{
    model::{Action, ApiKeyId, ChangeMeta, UserId},
    store::{
        API_KEYS_MAX, NewApiKey, StoreError,
        api_keys::scopes_text,
        commands::{CreateApiKey, RevokeApiKey, TouchApiKeys},
        sqlite::writer::RunInSqlite,
    },
};

impl RunInSqlite for CreateApiKey {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let NewApiKey { key, hash } = &self.new;
        let count: u32 = connection.prepare_cached("SELECT count(*) FROM api_keys")?.query_row([], |row| row.get(0))?;
        if count >= API_KEYS_MAX {
            return Err(StoreError::LimitReached);
        }
        connection
            .prepare_cached(
                "INSERT INTO api_keys (id, name, prefix, hash, scopes, expires_at, created_at, last_used_at, created_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8)",
            )?
            .execute(params![
                key.id,
                key.name,
                key.prefix,
                hash,
                scopes_text(key.scopes),
                key.expires_at,
                key.created_at,
                key.created_by
            ])?;
        log(connection, Action::ApiKeyCreated, key.id, &self.meta)
    }
}

impl RunInSqlite for RevokeApiKey {
    fn run(&self, connection: &Connection) -> Result<Option<UserId>, StoreError> {
        let created_by = connection
            .prepare_cached("DELETE FROM api_keys WHERE id = ?1 RETURNING created_by")?
            .query_row([self.id], |row| row.get(0))
            .optional()?
            .ok_or(StoreError::NotFound)?;
        log(connection, Action::ApiKeyRevoked, self.id, &self.meta)?;
        Ok(created_by)
    }
}

impl RunInSqlite for TouchApiKeys {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(
            "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1 AND ifnull(last_used_at, ?2 - 1) < ?2",
        )?;
        for used in &self.uses {
            statement.execute(params![used.id, used.at])?;
        }
        Ok(())
    }
}

fn log(connection: &Connection, action: Action, id: ApiKeyId, meta: &ChangeMeta) -> Result<(), StoreError> {
    log_event(connection, action, &Event { target: &format!("api_keys/{id}"), ..Event::default() }, meta)
}
