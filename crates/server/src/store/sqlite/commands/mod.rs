//! The write commands, one a file. Each runs inside the writer's transaction.

mod create_user;
mod delete_user;
mod request_mail;
mod secret;
mod send_mail;
mod set_user_status;
mod update_user;
mod use_token;

pub(super) use create_user::CreateUser;
pub(super) use delete_user::DeleteUser;
pub(super) use request_mail::RequestMail;
pub(super) use secret::Secret;
pub(super) use send_mail::{ClaimMails, FinishMail, PurgeMails};
pub(super) use set_user_status::SetUserStatus;
pub(super) use update_user::UpdateUser;
pub(super) use use_token::UseToken;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{USER_BY_ID, user_from_row};
use crate::{
    model::{Action, ChangeMeta, User, UserId},
    store::StoreError,
};

/// The user as the transaction sees it and its row, checked against the etag that the caller last saw.
fn current_user(connection: &Connection, id: &UserId, etag: Option<&str>) -> Result<(i64, User), StoreError> {
    let user = find_user(connection, id)?.ok_or(StoreError::NotFound)?;
    if etag.is_some_and(|etag| etag != user.etag()) {
        return Err(StoreError::Stale);
    }
    let pk = connection.prepare_cached("SELECT pk FROM users WHERE id = ?1")?.query_row([id], |row| row.get(0))?;
    Ok((pk, user))
}

/// The user with this id.
pub(super) fn find_user(connection: &Connection, id: &UserId) -> Result<Option<User>, StoreError> {
    Ok(connection.prepare_cached(USER_BY_ID)?.query_row([id], user_from_row).optional()?)
}

/// Writes the change-log row that belongs to a change; `after` is the user as [`super::row::Derived`] has it logged.
fn log_change(
    connection: &Connection,
    action: Action,
    (pk, user): (i64, &User),
    after: Option<&str>,
    fields: &[&str],
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    let fields = serde_json::to_string(fields).map_err(|error| StoreError::Internal(error.to_string()))?;
    connection
        .prepare_cached(
            "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields, after, remote_address)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
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
            after,
            meta.remote_address
        ])?;
    Ok(())
}

/// A row of the change log that changes no user: what was done beside one, or refused.
#[derive(Debug, Default)]
struct Event<'a> {
    /// Whom it concerns; `None` for nobody that there is.
    user: Option<(i64, &'a UserId)>,
    /// What it was done to if not a user, such as `sessions/ID`; empty for nothing.
    target: &'a str,
    /// The reason of the error if it was refused; empty if it was done.
    reason: &'a str,
}

/// Writes an [`Event`] to the change log, where the audit log reads it. Followers of users pass over it.
fn log_event(connection: &Connection, action: Action, event: &Event<'_>, meta: &ChangeMeta) -> Result<(), StoreError> {
    let (pk, id) = event.user.map_or((0, None), |(pk, id)| (pk, Some(id)));
    connection
        .prepare_cached(
            "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields, remote_address,
                                  target, reason)
             VALUES (?1, ?2, ?3, ifnull(?4, ''), ?5, 0, ?6, '[]', ?7, ?8, ?9)",
        )?
        .execute(params![
            meta.at,
            meta.actor.to_string(),
            action.name(),
            id,
            pk,
            meta.request_id,
            meta.remote_address,
            event.target,
            event.reason
        ])?;
    Ok(())
}
