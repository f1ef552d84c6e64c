//! The write commands, one a file. Each runs inside the writer's transaction.

mod add_address;
mod api_keys;
mod append_events;
mod change_user;
mod create_session;
mod create_user;
mod delete_address;
mod delete_user;
mod end_session;
mod end_sessions;
mod fail_sign_in;
mod import_users;
mod purge_answers;
mod purge_imports;
mod purge_sessions;
mod refresh_session;
mod rehearse_import;
mod request_mail;
mod secret;
mod send_mail;
mod set_default_address;
mod set_password;
mod set_user_status;
mod signing_keys;
mod touch_sessions;
mod trim_log;
mod update_address;
mod update_preferences;
mod update_user;
mod use_token;

pub(super) use add_address::AddAddress;
pub(super) use api_keys::{CreateApiKey, RevokeApiKey, TouchApiKeys};
pub(super) use append_events::AppendEvents;
pub(super) use change_user::ChangeUser;
pub(super) use create_session::CreateSession;
pub(super) use create_user::CreateUser;
pub(super) use delete_address::DeleteAddress;
pub(super) use delete_user::DeleteUser;
pub(super) use end_session::EndSession;
pub(super) use end_sessions::EndSessions;
pub(super) use fail_sign_in::FailSignIn;
pub(super) use import_users::ImportUsers;
pub(super) use purge_answers::PurgeAnswers;
pub(super) use purge_imports::PurgeImports;
pub(super) use purge_sessions::PurgeSessions;
pub(super) use refresh_session::RefreshSession;
pub(super) use request_mail::RequestMail;
pub(super) use secret::Secret;
pub(super) use send_mail::{ClaimMails, FinishMail, PurgeMails};
pub(super) use set_default_address::SetDefaultAddress;
pub(super) use set_password::SetPassword;
pub(super) use signing_keys::{EnsureSigningKey, PurgeSigningKeys, RotateSigningKey};
pub(super) use touch_sessions::TouchSessions;
pub(super) use trim_log::TrimLog;
pub(super) use update_address::UpdateAddress;
pub(super) use update_preferences::UpdatePreferences;
pub(super) use use_token::UseToken;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::addresses;
use crate::{
    model::{Action, Actor, Address, AddressId, ChangeMeta, Role, SessionId, User, UserId, UserStatus},
    store::{StoreError, StoredUser},
};

/// The row, the user as the transaction sees it, and the same stored.
fn current_user(connection: &Connection, id: &UserId) -> Result<(i64, User, StoredUser), StoreError> {
    let row = connection
        .prepare_cached("SELECT pk, message FROM users WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get::<_, StoredUser>(1)?)))
        .optional()?;
    let (pk, stored) = row.ok_or(StoreError::NotFound)?;
    Ok((pk, stored.user()?, stored))
}

/// The same, if the actor may rule over the user, checked against the etag that the caller last saw.
fn ruled_user(
    connection: &Connection,
    id: &UserId,
    etag: Option<&str>,
    meta: &ChangeMeta,
) -> Result<(i64, User, StoredUser), StoreError> {
    let (pk, user, stored) = current_user(connection, id)?;
    check_rank(id, user.role, meta)?;
    if etag.is_some_and(|etag| etag != user.etag()) {
        return Err(StoreError::Stale);
    }
    Ok((pk, user, stored))
}

/// The row of the user, if the actor may rule over them.
fn ruled_pk(connection: &Connection, id: &UserId, meta: &ChangeMeta) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT pk, role FROM users WHERE id = ?1")?;
    let row = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (pk, role) = row.ok_or(StoreError::NotFound)?;
    check_rank(id, role, meta)?;
    Ok(pk)
}

/// Refuses whoever acts on another user and does not hold all that their role may do: one permission is not to become
/// all of them by way of somebody who holds them. Here, and not before the command, or a promotion could come between.
fn check_rank(id: &UserId, role: Role, meta: &ChangeMeta) -> Result<(), StoreError> {
    let is_own = matches!(&meta.actor, Actor::User(actor) if actor == id);
    let lacking = meta.held.lacks_of(role).filter(|_| !is_own);
    lacking.map_or(Ok(()), |permission| Err(StoreError::Outranked(permission)))
}

/// The address as the transaction sees it and its user's row, checked against the etag that the caller last saw.
fn current_address(
    connection: &Connection,
    user_id: &UserId,
    id: AddressId,
    etag: Option<&str>,
) -> Result<(i64, Address), StoreError> {
    let pk = addresses::user_pk(connection, user_id)?;
    let address = addresses::find(connection, pk, id)?.ok_or(StoreError::ItemNotFound)?;
    if etag.is_some_and(|etag| etag != address.etag()) {
        return Err(StoreError::Stale);
    }
    Ok((pk, address))
}

/// The row of the user with this id.
fn user_pk(connection: &Connection, id: &UserId) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT pk FROM users WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// Removes all sessions of the user in this row.
fn delete_sessions(connection: &Connection, pk: i64) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM sessions WHERE user_pk = ?1")?.execute([pk])?;
    Ok(())
}

/// A session as the target of an event.
fn session_target(id: SessionId) -> String {
    format!("sessions/{id}")
}

/// All sessions of the event's user ([AIP-159](https://google.aip.dev/159)).
const ALL_SESSIONS: &str = "sessions/-";

/// How an [`Event`] names an address.
fn address_target(id: AddressId) -> String {
    format!("addresses/{id}")
}

/// Refuses to leave the system without an administrator who can sign in: is active, and has a password. To be called
/// before anything is changed: `before` is the user as it is, `after` as it will be; `None` if it is deleted.
fn keep_an_admin(
    connection: &Connection,
    (pk, before): (i64, &User),
    after: Option<&User>,
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    let is_admin = |user: &User| (user.role, user.status) == (Role::Admin, UserStatus::Active);
    // Where every caller is an administrator, none is missed.
    if !is_admin(before) || after.is_some_and(is_admin) || meta.actor == Actor::Developer {
        return Ok(());
    }
    const HAS_PASSWORD: &str = "SELECT EXISTS (SELECT 1 FROM credentials WHERE user_pk = ?1)";
    // Numbers and not parameters: SQLite must see that the partial index has all of them.
    const ANOTHER: &str = "SELECT EXISTS (SELECT 1 FROM users u JOIN credentials c ON c.user_pk = u.pk
                                          WHERE u.role = 2 AND u.status = 1 AND u.pk <> ?1)";
    let holds = |sql| connection.prepare_cached(sql)?.query_row([pk], |row| row.get::<_, bool>(0));
    // One who cannot sign in leaves as many who can.
    if !holds(HAS_PASSWORD)? || holds(ANOTHER)? { Ok(()) } else { Err(StoreError::LastAdmin) }
}

/// Writes the change-log row that belongs to a change.
fn log_change(
    connection: &Connection,
    action: Action,
    (pk, user): (i64, &User),
    (before, after): (Option<&StoredUser>, Option<&StoredUser>),
    fields: &[&str],
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    let fields = json(fields)?;
    connection
        .prepare_cached(
            "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields, before, after,
                                  remote_address, by_another)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
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
            before,
            after,
            meta.remote_address,
            is_by_another(&meta.actor, Some(&user.id)),
        ])?;
    Ok(())
}

/// Names of fields as a JSON array.
fn json(fields: &[&str]) -> Result<String, StoreError> {
    serde_json::to_string(fields).map_err(|error| StoreError::Internal(error.to_string()))
}

/// A row of the change log that changes no user: what was done beside one, or refused.
#[derive(Debug, Default)]
struct Event<'a> {
    /// Whom it concerns; `None` for nobody that there is.
    user: Option<(i64, &'a UserId)>,
    /// What it was done to if not a user, such as `sessions/ID`; empty for nothing.
    target: &'a str,
    /// The names of the fields that changed.
    fields: &'a [&'a str],
    /// The reason of the error if it was refused; empty if it was done.
    reason: &'a str,
}

/// Writes an [`Event`] to the change log, where the audit log reads it. Followers of users pass over it.
fn log_event(connection: &Connection, action: Action, event: &Event<'_>, meta: &ChangeMeta) -> Result<(), StoreError> {
    let (pk, id) = event.user.map_or((0, None), |(pk, id)| (pk, Some(id)));
    connection
        .prepare_cached(
            "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields, remote_address,
                                  target, reason, by_another)
             VALUES (?1, ?2, ?3, ifnull(?4, ''), ?5, 0, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            meta.at,
            meta.actor.to_string(),
            action.name(),
            id,
            pk,
            meta.request_id,
            json(event.fields)?,
            meta.remote_address,
            event.target,
            event.reason,
            is_by_another(&meta.actor, id),
        ])?;
    Ok(())
}

/// Whether a user did it who is not this one: see the migration.
fn is_by_another(actor: &Actor, user: Option<&UserId>) -> bool {
    matches!(actor, Actor::User(id) if Some(id) != user)
}
