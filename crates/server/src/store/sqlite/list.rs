//! Lists, searches and counts.
//!
//! A search has two plans. Where the index names few candidates, each is looked at once, for the total
//! and for the page: in the index, unless it has changed since, and among the users themselves if more is asked than text and
//! id. Where it names many, or lags too far behind, users are read in the wanted order until the page is full: with many
//! matches that is soon, and nothing has to be sorted. So what the index says can be stale but never shows.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Rows, params, params_from_iter};

use super::candidates::{Candidates, Few};
use crate::{
    model::{UserId, order::Cursor},
    store::{
        StoreError, StoredUser, UserQuery,
        commands::json,
        sql::{Dialect, SqlBuilder, after_cursor, order_by, where_filter},
    },
};

/// Candidates up to which they are fetched and sorted. At a million users and a hundred on a page,
/// reading in order visits about as many rows once the candidates are this many.
const CANDIDATES_MAX: u32 = 10_000;
/// Joins users to candidates. Unlike JOIN, CROSS JOIN keeps SQLite from walking the users first.
const CROSS_JOIN_USERS: &str = " c CROSS JOIN users u ON u.pk = c.pk";
/// A user of a page.
const MESSAGE: &str = "SELECT message FROM users WHERE pk = ?1";
/// The same, if it is the one that is meant and matches.
const MATCHING_MESSAGE: &str = "SELECT message FROM users WHERE pk = ?1 AND id = ?2 AND instr(search_text, ?3) > 0";
/// Bytes of an ordinary user's message.
const MESSAGE_BYTES: usize = 192;

/// See [`crate::store::Store::list_users`].
pub(super) fn list_users(connection: &Connection, query: &UserQuery) -> Result<Vec<StoredUser>, StoreError> {
    list_users_upto(connection, query, None)
}

/// The same, without users of greater ids than `upto`.
pub(super) fn list_users_upto(
    connection: &Connection,
    query: &UserQuery,
    upto: Option<&UserId>,
) -> Result<Vec<StoredUser>, StoreError> {
    let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT u.message FROM users u WHERE ");
    push_condition(query, &mut sql);
    if let Some(cursor) = &query.after {
        sql.push(" AND ");
        after_cursor(&query.order, cursor, &mut sql);
    }
    if let Some(upto) = upto {
        sql.push(" AND u.id <= ").bind(upto);
    }
    sql.push(" ORDER BY ");
    order_by(&query.order, &mut sql);
    sql.push(" LIMIT ").bind(i64::from(query.limit));

    let mut statement = connection.prepare_cached(sql.text())?;
    let rows = statement.query(params_from_iter(sql.params()))?;
    Ok(read_messages(rows, query.limit as usize)?)
}

/// Reads users whose message is the first column, into one allocation: as many as there are users would be made here
/// and freed on the thread that sends them.
fn read_messages(mut rows: Rows<'_>, expected: usize) -> rusqlite::Result<Vec<StoredUser>> {
    let (mut bytes, mut ends) = (Vec::with_capacity(expected * MESSAGE_BYTES), Vec::with_capacity(expected));
    while let Some(row) = rows.next()? {
        bytes.extend_from_slice(row.get_ref(0)?.as_blob()?);
        ends.push(bytes.len());
    }
    let mut rest = Bytes::from(bytes);
    let starts = std::iter::once(0).chain(ends.iter().copied());
    Ok(ends.iter().zip(starts).map(|(end, start)| StoredUser::from_bytes(rest.split_to(end - start))).collect())
}

/// See [`crate::store::Store::search_users`].
pub(super) fn search_users(
    connection: &Connection,
    query: &UserQuery,
    total_max: u32,
    indexed: bool,
) -> Result<(Vec<StoredUser>, u32), StoreError> {
    // Index, page and total are to be of one moment. In memory the writer has begun a transaction already.
    let _snapshot = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let candidates = match query.search.as_deref().filter(|_| indexed) {
        Some(text) => Candidates::of(connection, text)?,
        None => None,
    };
    if let Some(candidates) = &candidates
        && let Some(few) = candidates.few(connection, CANDIDATES_MAX)?
    {
        return if query.filter.is_none() && query.order.terms().is_empty() {
            by_id(connection, few, query, total_max)
        } else {
            among(connection, few, query, total_max)
        };
    }
    let users = list_users(connection, query)?;
    let total = if query.after.is_none() && users.len() < query.limit as usize {
        // All that match are on this page.
        u32::try_from(users.len()).unwrap_or(total_max).min(total_max)
    } else {
        count(connection, candidates.as_ref(), query, total_max)?
    };
    Ok((users, total))
}

/// Of the users, reads only those of the page and those that have changed.
fn by_id(
    connection: &Connection,
    few: Few,
    query: &UserQuery,
    total_max: u32,
) -> Result<(Vec<StoredUser>, u32), StoreError> {
    let Few { mut matching, changed } = few;
    let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT u.id, u.pk FROM ");
    push_among(&changed, query, &mut sql)?;
    let mut statement = connection.prepare_cached(sql.text())?;
    for found in statement.query_map(params_from_iter(sql.params()), |row| Ok((row.get(0)?, row.get(1)?)))? {
        matching.push(found?);
    }
    let total = u32::try_from(matching.len()).unwrap_or(u32::MAX).min(total_max);
    let direction = query.order.id_direction();
    if let Some(Cursor { id: last, .. }) = &query.after {
        matching.retain(|(id, _)| direction.apply(id.cmp(last)).is_gt());
    }
    matching.sort_unstable_by(|(one, _), (other, _)| direction.apply(one.cmp(other)));
    // Whatever the index says, nobody is shown who does not match.
    let mut message = connection.prepare_cached(MATCHING_MESSAGE)?;
    let (text, mut users) = (query.search.as_deref().unwrap_or_default(), Vec::with_capacity(query.limit as usize));
    for (id, pk) in &matching {
        if users.len() == query.limit as usize {
            break;
        }
        users.extend(message.query_row(params![pk, id, text], |row| row.get(0)).optional()?);
    }
    Ok((users, total))
}

/// Looks at each once, for the total and for the page; only the page's users are read whole.
fn among(
    connection: &Connection,
    few: Few,
    query: &UserQuery,
    total_max: u32,
) -> Result<(Vec<StoredUser>, u32), StoreError> {
    let mut candidates = few.changed;
    candidates.extend(few.matching.iter().map(|(_, pk)| pk));
    let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT u.pk, ");
    match &query.after {
        Some(cursor) => after_cursor(&query.order, cursor, &mut sql),
        None => drop(sql.push("TRUE")),
    }
    sql.push(" FROM ");
    push_among(&candidates, query, &mut sql)?;
    sql.push(" ORDER BY ");
    order_by(&query.order, &mut sql);

    let mut message = connection.prepare_cached(MESSAGE)?;
    let mut statement = connection.prepare_cached(sql.text())?;
    let mut rows = statement.query(params_from_iter(sql.params()))?;
    let (mut users, mut total) = (Vec::with_capacity(query.limit as usize), 0);
    while let Some(row) = rows.next()? {
        total += 1;
        if users.len() < query.limit as usize && row.get(1)? {
            users.push(message.query_row([row.get::<_, i64>(0)?], |row| row.get(0))?);
        }
    }
    Ok((users, total.min(total_max)))
}

/// Appends those of these users that match, as `u`.
fn push_among(candidates: &[i64], query: &UserQuery, sql: &mut SqlBuilder) -> Result<(), StoreError> {
    sql.push("(SELECT value AS pk FROM json_each(").bind(json(candidates)?).push("))").push(CROSS_JOIN_USERS);
    sql.push(" WHERE ");
    push_condition(query, sql);
    Ok(())
}

/// How many users match, counted no further than `max`.
fn count(
    connection: &Connection,
    candidates: Option<&Candidates>,
    query: &UserQuery,
    max: u32,
) -> rusqlite::Result<u32> {
    let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT count(*) FROM (");
    if let Some(candidates) = candidates {
        sql.push("SELECT 1 FROM (");
        candidates.push_matching(&mut sql);
        sql.push(")");
        if let Some(filter) = &query.filter {
            sql.push(CROSS_JOIN_USERS).push(" WHERE ");
            where_filter(filter, &mut sql);
        }
        sql.push(" UNION ALL SELECT 1 FROM (");
        candidates.push_changed(&mut sql);
        sql.push(")").push(CROSS_JOIN_USERS);
    } else {
        sql.push("SELECT 1 FROM users u");
    }
    sql.push(" WHERE ");
    push_condition(query, &mut sql);
    sql.push(" LIMIT ").bind(i64::from(max)).push(")");
    connection.prepare_cached(sql.text())?.query_row(params_from_iter(sql.params()), |row| row.get(0))
}

/// Appends the search and the filter as conditions; `AND` may follow.
fn push_condition(query: &UserQuery, sql: &mut SqlBuilder) {
    sql.push("TRUE");
    if let Some(text) = &query.search {
        sql.push(" AND instr(u.search_text, ").bind(text.clone()).push(") > 0");
    }
    if let Some(filter) = &query.filter {
        sql.push(" AND ");
        where_filter(filter, sql);
    }
}
