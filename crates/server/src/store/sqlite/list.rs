//! Lists, searches and counts.
//!
//! A search has two plans. Where the trigram index names few candidates, they are fetched and
//! sorted. Where it names many, users are read in the wanted order until the page is full: with
//! many matches that is soon, and nothing has to be sorted.

use std::collections::BTreeSet;

use rusqlite::{Connection, params_from_iter};

use super::{
    row::{USERS, user_from_row},
    sql::{SqlBuilder, after_cursor, order_by, where_filter},
};
use crate::{
    model::{User, filter::Filter},
    store::{StoreError, UserQuery},
};

/// Candidates up to which they are fetched and sorted. At a million users and a hundred on a page,
/// reading in order visits about as many rows once the candidates are this many.
const CANDIDATES_MAX: u32 = 10_000;
/// Characters of a trigram: shorter queries have none and are looked for row by row.
const TRIGRAM_CHARS: usize = 3;
/// Trigrams asked of the index. More would narrow little: every hit is checked against the text.
const TRIGRAMS_MAX: usize = 24;

/// See [`crate::store::Store::list_users`].
pub(super) fn list_users(connection: &Connection, query: &UserQuery) -> Result<Vec<User>, StoreError> {
    let candidates = match query.search.as_deref().and_then(trigrams) {
        Some(trigrams) if count_candidates(connection, &trigrams)? <= CANDIDATES_MAX => Some(trigrams),
        _ => None,
    };
    let mut sql = SqlBuilder::new(USERS);
    push_condition(candidates, query.search.as_deref(), query.filter.as_ref(), &mut sql);
    if let Some(cursor) = &query.after {
        sql.push(" AND ");
        after_cursor(&query.order, cursor, &mut sql);
    }
    sql.push(" ORDER BY ");
    order_by(&query.order, &mut sql);
    sql.push(" LIMIT ").bind(i64::from(query.limit));

    let mut statement = connection.prepare_cached(sql.text())?;
    let mut rows = statement.query(params_from_iter(sql.params()))?;
    let mut users = Vec::with_capacity(query.limit as usize);
    while let Some(row) = rows.next()? {
        users.push(user_from_row(row)?);
    }
    Ok(users)
}

/// See [`crate::store::Store::count_users`].
pub(super) fn count_users(
    connection: &Connection,
    filter: Option<&Filter>,
    search: Option<&str>,
    max: u32,
) -> Result<u32, StoreError> {
    let mut sql = SqlBuilder::new("SELECT count(*) FROM (SELECT 1 ");
    push_condition(search.and_then(trigrams), search, filter, &mut sql);
    sql.push(" LIMIT ").bind(i64::from(max)).push(")");
    count(connection, &sql)
}

/// How many users hold all trigrams, counted a little beyond what matters.
fn count_candidates(connection: &Connection, trigrams: &str) -> Result<u32, StoreError> {
    let mut sql = SqlBuilder::new("SELECT count(*) FROM (SELECT 1 FROM users_search WHERE users_search MATCH ");
    sql.bind(trigrams.to_owned()).push(" LIMIT ").bind(i64::from(CANDIDATES_MAX) + 1).push(")");
    count(connection, &sql)
}

fn count(connection: &Connection, sql: &SqlBuilder) -> Result<u32, StoreError> {
    Ok(connection.prepare_cached(sql.text())?.query_row(params_from_iter(sql.params()), |row| row.get(0))?)
}

/// Appends the tables, candidates first, and the search and filter as conditions; `AND` may follow.
fn push_condition(candidates: Option<String>, search: Option<&str>, filter: Option<&Filter>, sql: &mut SqlBuilder) {
    match candidates {
        // Unlike JOIN, CROSS JOIN keeps SQLite from walking the users first.
        Some(trigrams) => sql
            .push("FROM users_search s CROSS JOIN users u ON u.pk = s.rowid WHERE s.users_search MATCH ")
            .bind(trigrams),
        None => sql.push("FROM users u WHERE TRUE"),
    };
    if let Some(text) = search {
        sql.push(" AND instr(u.search_text, ").bind(text.to_owned()).push(") > 0");
    }
    if let Some(filter) = filter {
        sql.push(" AND ");
        where_filter(filter, sql);
    }
}

/// The trigrams of `text` as an FTS5 query that asks for all of them; `None` if it is too short.
fn trigrams(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let trigrams: BTreeSet<String> = chars.windows(TRIGRAM_CHARS).map(String::from_iter).collect();
    if trigrams.is_empty() {
        return None;
    }
    let quoted: Vec<String> =
        trigrams.iter().take(TRIGRAMS_MAX).map(|trigram| format!("\"{}\"", trigram.replace('"', "\"\""))).collect();
    Some(quoted.join(" AND "))
}
