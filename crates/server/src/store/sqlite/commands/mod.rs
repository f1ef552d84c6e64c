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
mod log;
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

use rusqlite::{Connection, OptionalExtension as _};

use self::log::{ChangeLog, Event, log_change, log_event};
use super::addresses;
use crate::{
    model::{Address, AddressId, ChangeMeta, User, UserId},
    store::{
        StoreError, StoredUser,
        commands::{check_rank, check_ruled, may_leave_no_admin},
    },
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
    check_ruled(&user, etag, meta)?;
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

/// The address as the transaction sees it and its user's row.
fn current_address(connection: &Connection, user_id: &UserId, id: AddressId) -> Result<(i64, Address), StoreError> {
    let pk = addresses::user_pk(connection, user_id)?;
    Ok((pk, addresses::find(connection, pk, id)?.ok_or(StoreError::ItemNotFound)?))
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

/// Refuses to leave the system without an administrator who can sign in: is active, and has a password. To be called
/// before anything is changed: `before` is the user as it is, `after` as it will be; `None` if it is deleted.
fn keep_an_admin(
    connection: &Connection,
    (pk, before): (i64, &User),
    after: Option<&User>,
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    if !may_leave_no_admin(before, after, meta) {
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
