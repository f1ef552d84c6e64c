//! Reads the change log as the feed, and users as they were.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter, types::FromSqlError};
use tokio::sync::watch;

use super::{SqliteStore, list};
use crate::{
    model::{
        Action, UserId,
        filter::Filter,
        order::{Cursor, Order},
    },
    store::{
        Change, ChangePage, FeedStore, LogTrim, Moment, StoreError, StoredUser, UserQuery, UsersAt, UsersAtPage,
        commands::TrimLog,
        sql::{Dialect, SqlBuilder, where_filter},
    },
};

/// Changes since the moment that are looked through one by one; if there are more, those of the page's users are.
const RECENT_MAX: i64 = 10_000;
/// Users that a page with a filter looks at, once there are changes to undo.
const WINDOW_USERS: i64 = 4_096;

#[async_trait]
impl FeedStore for SqliteStore {
    fn newest_position(&self) -> watch::Receiver<i64> {
        self.writer.newest_position()
    }

    async fn log_end(&self) -> Result<i64, StoreError> {
        Ok(*self.writer.newest_position().borrow())
    }

    async fn list_changes(&self, position: i64, limit: u32) -> Result<ChangePage, StoreError> {
        self.scan(move |connection| in_snapshot(connection, || list_changes(connection, position, limit))).await
    }

    async fn moment(&self, filter: Option<Filter>) -> Result<Moment, StoreError> {
        self.scan(move |connection| in_snapshot(connection, || moment(connection, filter.as_ref(), None))).await
    }

    async fn users_at(&self, query: UsersAt) -> Result<UsersAtPage, StoreError> {
        self.scan(move |connection| in_snapshot(connection, || users_at(connection, &query))).await
    }

    async fn trim_log(&self, trim: LogTrim) -> Result<u32, StoreError> {
        self.writer.execute(TrimLog(trim)).await
    }
}

/// Has all reads see the same. In memory the writer has begun a transaction already.
pub(super) fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let _snapshot = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    read()
}

/// The oldest position of the log; 0 while it is empty.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(min(position), 0) FROM changes";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// The newest position of the log; 0 while it is empty.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(position), 0) FROM changes";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// The newest position, if every change after `position` is still there.
fn newest_if_reached(connection: &Connection, position: i64) -> Result<i64, StoreError> {
    let newest = newest(connection)?;
    if oldest(connection)? > position.saturating_add(1) || position > newest {
        return Err(StoreError::Trimmed);
    }
    Ok(newest)
}

fn list_changes(connection: &Connection, position: i64, limit: u32) -> Result<ChangePage, StoreError> {
    let newest = newest_if_reached(connection, position)?;
    const SQL: &str = "SELECT position, at, actor, action, user_id, revision, request_id, fields, before, after
         FROM changes WHERE position > ?1 AND revision > 0 ORDER BY position LIMIT ?2";
    let mut statement = connection.prepare_cached(SQL)?;
    let rows = statement.query_map([position, i64::from(limit)], change_from_row)?;
    let changes = rows.collect::<Result<Vec<_>, _>>()?;
    let is_full = changes.len() >= limit as usize;
    let upto = changes.last().filter(|_| is_full).map_or(newest, |last| last.position);
    Ok(ChangePage { changes, upto })
}

/// Reads `position, at, actor, action, user_id, revision, request_id, fields, before, after`.
fn change_from_row(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change {
        position: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        user_id: row.get(4)?,
        revision: row.get(5)?,
        request_id: row.get(6)?,
        fields: serde_json::from_str(row.get_ref(7)?.as_str()?).map_err(FromSqlError::other)?,
        before: row.get(8)?,
        after: row.get(9)?,
    })
}

/// The newest position, and how many users there are that match, of those after an id.
pub(super) fn moment(
    connection: &Connection,
    filter: Option<&Filter>,
    after: Option<&UserId>,
) -> Result<Moment, StoreError> {
    let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT count(*) FROM users u WHERE TRUE");
    if let Some(after) = after {
        sql.push(" AND u.id > ").bind(after);
    }
    if let Some(filter) = filter {
        sql.push(" AND ");
        where_filter(filter, &mut sql);
    }
    let count: i64 =
        connection.prepare_cached(sql.text())?.query_row(params_from_iter(sql.params()), |row| row.get(0))?;
    Ok(Moment { position: newest(connection)?, user_count: count.unsigned_abs() })
}

fn users_at(connection: &Connection, query: &UsersAt) -> Result<UsersAtPage, StoreError> {
    let newest = newest_if_reached(connection, query.position)?;
    let after = query.after.clone().map(|id| Cursor { values: Vec::new(), id });
    let (filter, limit) = (query.filter.clone(), query.limit.max(1));
    // Few may match now in a range of ids of which many have changed, and each page reads all that has changed in its own.
    let is_bounded = filter.is_some() && newest > query.position;
    let mut last = if is_bounded { end_of_window(connection, query.after.as_ref())? } else { None };
    let page = UserQuery { filter, search: None, order: Order::default(), after, limit };
    let mut users = list::list_users_upto(connection, &page, last.as_ref())?;
    if let Some(user) = users.last().filter(|_| users.len() >= limit as usize) {
        last = Some(user.user()?.id);
    }
    if newest > query.position {
        let range = Range { position: query.position, newest, after: query.after.as_ref(), last: last.as_ref() };
        let (changes, is_cut) = range.first_changes(connection, limit)?;
        if let Some((id, _)) = changes.last().filter(|_| is_cut) {
            last = Some(id.clone());
        }
        if !changes.is_empty() {
            users = undo(connection, users, changes, last.as_ref(), query.filter.as_ref())?;
        }
    }
    Ok(UsersAtPage { users, next_after: last })
}

/// The last id of the users that a page with a filter looks at; `None` if it looks at all that are left.
fn end_of_window(connection: &Connection, after: Option<&UserId>) -> Result<Option<UserId>, StoreError> {
    let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT u.id FROM users u");
    if let Some(after) = after {
        sql.push(" WHERE u.id > ").bind(after);
    }
    sql.push(" ORDER BY u.id LIMIT 1 OFFSET ").bind(WINDOW_USERS - 1);
    let mut statement = connection.prepare_cached(sql.text())?;
    Ok(statement.query_row(params_from_iter(sql.params()), |row| row.get(0)).optional()?)
}

/// Puts users up to `last` back to what they were before their first change since, and drops those after it.
fn undo(
    connection: &Connection,
    now: Vec<StoredUser>,
    first_changes: Vec<(UserId, i64)>,
    last: Option<&UserId>,
    filter: Option<&Filter>,
) -> Result<Vec<StoredUser>, StoreError> {
    let mut users = BTreeMap::new();
    for stored in now {
        let id = stored.user()?.id;
        if last.is_none_or(|last| id <= *last) {
            users.insert(id, stored);
        }
    }
    for (id, position) in first_changes {
        users.remove(&id);
        let Some(before) = before(connection, position)? else { continue };
        let user = before.user()?;
        if filter.is_none_or(|filter| filter.matches(&user)) {
            users.insert(id, before);
        }
    }
    Ok(users.into_values().collect())
}

/// Changes since a moment, of users from one id to another.
struct Range<'a> {
    position: i64,
    newest: i64,
    /// Without it.
    after: Option<&'a UserId>,
    /// With it.
    last: Option<&'a UserId>,
}

impl Range<'_> {
    /// The position of the first change of each user that has changed, at most `limit` in the order of their ids; and
    /// whether there are more.
    fn first_changes(&self, connection: &Connection, limit: u32) -> Result<(Vec<(UserId, i64)>, bool), StoreError> {
        // Few changes are read in their own order; of many, those of the page's users are found by the index over users.
        let by_position = self.newest - self.position <= RECENT_MAX;
        let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT user_id, min(position) FROM changes ");
        sql.push(if by_position { "NOT INDEXED" } else { "INDEXED BY changes_by_user" });
        sql.push(" WHERE position > ").bind(self.position).push(" AND revision > 0");
        if let Some(after) = self.after {
            sql.push(" AND user_id > ").bind(after);
        }
        if let Some(last) = self.last {
            sql.push(" AND user_id <= ").bind(last);
        }
        sql.push(" GROUP BY user_id ORDER BY user_id LIMIT ").bind(i64::from(limit) + 1);
        let mut statement = connection.prepare_cached(sql.text())?;
        let rows = statement.query_map(params_from_iter(sql.params()), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut found = rows.collect::<Result<Vec<_>, _>>()?;
        let is_cut = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok((found, is_cut))
    }
}

/// What a user was before the change at this position; `None` for who was not there yet, or is not to be found any more.
fn before(connection: &Connection, position: i64) -> Result<Option<StoredUser>, StoreError> {
    const SQL: &str = "SELECT before FROM changes WHERE position = ?1 AND action <> ?2";
    let created = Action::Created.name();
    let before: Option<Option<StoredUser>> =
        connection.prepare_cached(SQL)?.query_row(params![position, created], |row| row.get(0)).optional()?;
    Ok(before.flatten())
}
