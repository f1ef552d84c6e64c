//! Makes, rotates and removes the keys that sign access tokens.

use rusqlite::{Connection, params};

use super::{Event, log_event};
use crate::{
    model::Action,
    store::{
        SigningKey, StoreError,
        commands::{EnsureSigningKey, PurgeSigningKeys, RotateSigningKey},
        sqlite::{signing_keys::all, writer::RunInSqlite},
    },
};

impl RunInSqlite for EnsureSigningKey {
    fn run(&self, connection: &Connection) -> Result<Vec<SigningKey>, StoreError> {
        let keys = all(connection)?;
        if keys.iter().any(|key| key.retired_at.is_none()) {
            return Ok(keys);
        }
        insert(connection, &self.fresh)?;
        all(connection)
    }
}

impl RunInSqlite for RotateSigningKey {
    fn run(&self, connection: &Connection) -> Result<Vec<SigningKey>, StoreError> {
        connection
            .prepare_cached("UPDATE signing_keys SET retired_at = ?1 WHERE retired_at IS NULL")?
            .execute([self.meta.at])?;
        insert(connection, &self.fresh)?;
        let target = format!("signing_keys/{}", self.fresh.id);
        log_event(connection, Action::KeysRotated, &Event { target: &target, ..Event::default() }, &self.meta)?;
        all(connection)
    }
}

impl RunInSqlite for PurgeSigningKeys {
    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let removed = connection
            .prepare_cached("DELETE FROM signing_keys WHERE retired_at < ?1")?
            .execute([self.retired_before])?;
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }
}

fn insert(connection: &Connection, key: &SigningKey) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO signing_keys (id, private_key, public_key, created_at, retired_at) VALUES (?1, ?2, ?3, ?4, NULL)",
        )?
        .execute(params![key.id, key.private_key.as_slice(), key.public_key, key.created_at])?;
    Ok(())
}
