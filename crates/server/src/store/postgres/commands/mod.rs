//! The write commands, one a file. Each runs in a transaction of its own, and may be run again if that is undone.

mod add_address;
mod addresses;
mod api_keys;
mod append_events;
mod change_user;
mod create_session;
mod create_user;
mod create_users;
mod delete_address;
mod delete_user;
mod end_session;
mod end_sessions;
mod erase_history;
mod fail_sign_in;
mod find_import;
mod import_users;
mod log_rows;
mod purge_answers;
mod purge_imports;
mod purge_sessions;
mod refresh_session;
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

pub(super) use create_users::CreateUsers;
pub(super) use erase_history::EraseHistory;
pub(super) use find_import::FindImport;
pub(super) use import_users::{Keys, Known};

use crate::{
    model::{Action, ChangeMeta, User, UserId},
    store::{
        StoreError, StoredUser,
        commands::{Command, check_rank, check_ruled, is_by_another, json, may_leave_no_admin},
        postgres::{
            row::column,
            tx::Tx,
            value::{Value, params},
        },
    },
};

/// How a command runs in PostgreSQL. Other servers learn from the log of the grants that it [ends](Command::ends): see
/// `log::ended`.
pub(super) trait RunInPostgres: Command + Sync {
    /// Does it, up to the commit. What it has queued then is sent along with that.
    fn run(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;

    /// Whether the error comes of what others have done between its reading and its writing, and another attempt may
    /// fare better.
    fn is_race(&self, _: &StoreError) -> bool {
        false
    }
}

/// The row, the user, and the same stored. The row is locked: nobody else changes the user, or what hangs on it, before
/// this transaction has ended.
async fn current_user(tx: &mut Tx<'_>, id: &UserId) -> Result<(i64, User, StoredUser), StoreError> {
    const SQL: &str = "SELECT pk, message FROM users WHERE id = $1 FOR UPDATE";
    let row = tx.row(SQL, params![id]).await?.ok_or(StoreError::NotFound)?;
    let stored: StoredUser = column(&row, 1)?;
    Ok((column(&row, 0)?, stored.user()?, stored))
}

/// The same, if the actor may rule over the user, checked against the etag that the caller last saw.
async fn ruled_user(
    tx: &mut Tx<'_>,
    id: &UserId,
    etag: Option<&str>,
    meta: &ChangeMeta,
) -> Result<(i64, User, StoredUser), StoreError> {
    let (pk, user, stored) = current_user(tx, id).await?;
    check_ruled(&user, etag, meta)?;
    Ok((pk, user, stored))
}

/// The row of the user, locked.
async fn user_pk(tx: &mut Tx<'_>, id: &UserId) -> Result<Option<i64>, StoreError> {
    let row = tx.row("SELECT pk FROM users WHERE id = $1 FOR UPDATE", params![id]).await?;
    row.map(|row| column(&row, 0)).transpose()
}

/// The row of the user, locked, if the actor may rule over them.
async fn ruled_pk(tx: &mut Tx<'_>, id: &UserId, meta: &ChangeMeta) -> Result<i64, StoreError> {
    let row = tx.row("SELECT pk, role FROM users WHERE id = $1 FOR UPDATE", params![id]).await?;
    let row = row.ok_or(StoreError::NotFound)?;
    check_rank(id, column(&row, 1)?, meta)?;
    column(&row, 0)
}

/// Removes all sessions of the user in this row.
fn delete_sessions(tx: &mut Tx<'_>, pk: i64) {
    tx.queue("DELETE FROM sessions WHERE user_pk = $1", params![pk]);
}

/// Refuses to leave the system without an administrator who can sign in: is active, and has a password. To be called
/// before anything is changed: `before` is the user as it is, `after` as it will be; `None` if it is deleted.
async fn keep_an_admin(
    tx: &mut Tx<'_>,
    (pk, before): (i64, &User),
    after: Option<&User>,
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    if !may_leave_no_admin(before, after, meta) {
        return Ok(());
    }
    lock_admins(tx);
    const SQL: &str = "SELECT EXISTS (SELECT FROM credentials WHERE user_pk = $1),
                              EXISTS (SELECT FROM users u JOIN credentials c ON c.user_pk = u.pk
                                      WHERE u.role = 2 AND u.status = 1 AND u.pk <> $1)";
    let row = tx.row(SQL, params![pk]).await?;
    let row = row.ok_or_else(|| StoreError::Internal("EXISTS gave no row".into()))?;
    // One who cannot sign in leaves as many who can.
    let (can_sign_in, has_another): (bool, bool) = (column(&row, 0)?, column(&row, 1)?);
    if !can_sign_in || has_another { Ok(()) } else { Err(StoreError::LastAdmin) }
}

/// Two administrators who dismiss each other would each leave the other, so one waits for the other's end here, and
/// sees it in the next statement.
fn lock_admins(tx: &mut Tx<'_>) {
    // "an admin" in ASCII.
    tx.queue("SELECT pg_advisory_xact_lock(x'616e2061646d696e'::BIGINT)", params![]);
}

/// A row of the log and its place among those that have no position yet. The user's row is locked by now, so the order
/// of two changes of one user is that of these rows: see `number_changes` in the schema.
const LOG: &str = "WITH logged AS (
        INSERT INTO changes (at, actor, action, user_id, revision, request_id, fields, before, after, remote_address,
                             target, reason, by_another)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING seq
    ) INSERT INTO unnumbered (seq) SELECT seq FROM logged";

/// Writes the change-log row that belongs to a change.
fn log_change(
    tx: &mut Tx<'_>,
    action: Action,
    user: &User,
    (before, after): (Option<&StoredUser>, Option<&StoredUser>),
    fields: &[&str],
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    let values = params![
        meta.at,
        meta.actor.to_string(),
        action.name(),
        &user.id,
        user.revision,
        &meta.request_id,
        json(fields)?,
        before,
        after,
        &meta.remote_address,
        "",
        "",
        is_by_another(&meta.actor, Some(&user.id)),
    ];
    tx.queue(LOG, values);
    Ok(())
}

/// A row of the change log that changes no user: what was done beside one, or refused.
#[derive(Debug, Default)]
struct Event<'a> {
    /// Whom it concerns; `None` for nobody that there is.
    user: Option<&'a UserId>,
    /// What it was done to if not a user, such as `sessions/ID`; empty for nothing.
    target: &'a str,
    /// The names of the fields that changed.
    fields: &'a [&'a str],
    /// The reason of the error if it was refused; empty if it was done.
    reason: &'a str,
}

/// Writes an [`Event`] to the change log, where the audit log reads it. Followers of users pass over it.
fn log_event(tx: &mut Tx<'_>, action: Action, event: &Event<'_>, meta: &ChangeMeta) -> Result<(), StoreError> {
    let nobody = || Value::from(&b""[..]);
    let values = params![
        meta.at,
        meta.actor.to_string(),
        action.name(),
        event.user.map_or_else(nobody, Value::from),
        0_i64,
        &meta.request_id,
        json(event.fields)?,
        Value::Null,
        Value::Null,
        &meta.remote_address,
        event.target,
        event.reason,
        is_by_another(&meta.actor, event.user),
    ];
    tx.queue(LOG, values);
    Ok(())
}
