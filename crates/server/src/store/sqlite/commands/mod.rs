//! The write commands, one a file. Each runs inside the writer's transaction.

mod create_user;
mod delete_user;
mod secret;
mod set_user_status;
mod update_user;

pub(super) use create_user::CreateUser;
pub(super) use delete_user::DeleteUser;
pub(super) use secret::Secret;
pub(super) use set_user_status::SetUserStatus;
pub(super) use update_user::UpdateUser;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{
    model::{Action, ChangeMeta, User, UserId},
    store::{StoreError, StoredUser},
};

/// The row, the user as the transaction sees it, checked against the etag that the caller last saw, and the same stored.
fn current_user(
    connection: &Connection,
    id: &UserId,
    etag: Option<&str>,
) -> Result<(i64, User, StoredUser), StoreError> {
    let row = connection
        .prepare_cached("SELECT pk, message FROM users WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get::<_, StoredUser>(1)?)))
        .optional()?;
    let (pk, stored) = row.ok_or(StoreError::NotFound)?;
    let user = stored.user()?;
    if etag.is_some_and(|etag| etag != user.etag()) {
        return Err(StoreError::Stale);
    }
    Ok((pk, user, stored))
}

/// Writes the change-log row that belongs to a change.
fn log_change(
    connection: &Connection,
    action: Action,
    (pk, user): (i64, &User),
    after: Option<&StoredUser>,
    fields: &[&str],
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    let fields = serde_json::to_string(fields).map_err(|error| StoreError::Internal(error.to_string()))?;
    connection
        .prepare_cached(
            "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields, after)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            meta.at,
            meta.actor.to_string(),
            action.name(),
            user.id,
            pk,
            user.revision,
            meta.request_id,
            fields,
            after
        ])?;
    Ok(())
}
