//! Lists, searches and counts.
//!
//! A search has two plans. Where the trigram index names few candidates, they are fetched and
//! sorted. Where it names many, or lags too far behind, users are read in the wanted order until the
//! page is full: with many matches that is soon, and nothing has to be sorted. Both look at the
//! users' own text, so what the index says can be stale but never shows.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::{Connection, Rows, params_from_iter};

use super::{
    search_index,
    sql::{SqlBuilder, after_cursor, order_by, where_filter},
};
use crate::{
    model::filter::Filter,
    store::{StoreError, StoredUser, UserQuery},
};

/// Candidates up to which they are fetched and sorted. At a million users and a hundred on a page,
/// reading in order visits about as many rows once the candidates are this many.
const CANDIDATES_MAX: i64 = 10_000;
/// Characters of a trigram: shorter queries have none and are looked for user by user.
const TRIGRAM_CHARS: usize = 3;
/// Bytes of an ordinary user's message.
const MESSAGE_BYTES: usize = 192;
/// Trigrams asked of the index. More would narrow little.
const TRIGRAMS_MAX: usize = 24;

/// See [`crate::store::Store::list_users`].
pub(super) fn list_users(
    connection: &Connection,
    query: &UserQuery,
    indexed: bool,
) -> Result<Vec<StoredUser>, StoreError> {
    let search = query.search.as_deref();
    let candidates = match Candidates::of(connection, search.filter(|_| indexed))? {
        Some(candidates) if candidates.count(connection)? <= CANDIDATES_MAX => Some(candidates),
        _ => None,
    };
    let mut sql = SqlBuilder::new("SELECT u.message ");
    push_condition(candidates.as_ref(), search, query.filter.as_ref(), &mut sql);
    if let Some(cursor) = &query.after {
        sql.push(" AND ");
        after_cursor(&query.order, cursor, &mut sql);
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

/// See [`crate::store::Store::count_users`].
pub(super) fn count_users(
    connection: &Connection,
    filter: Option<&Filter>,
    search: Option<&str>,
    max: u32,
    indexed: bool,
) -> Result<u32, StoreError> {
    let candidates = Candidates::of(connection, search.filter(|_| indexed))?;
    let mut sql = SqlBuilder::new("SELECT count(*) FROM (SELECT 1 ");
    push_condition(candidates.as_ref(), search, filter, &mut sql);
    sql.push(" LIMIT ").bind(i64::from(max)).push(")");
    Ok(count(connection, &sql)?)
}

fn count<T: rusqlite::types::FromSql>(connection: &Connection, sql: &SqlBuilder) -> rusqlite::Result<T> {
    connection.prepare_cached(sql.text())?.query_row(params_from_iter(sql.params()), |row| row.get(0))
}

/// Users that may match: those that the index names, and those that changed since it was brought up to date.
struct Candidates {
    /// An FTS5 query for all trigrams of the text.
    trigrams: String,
    /// The last change that the index has taken in.
    position: i64,
}

impl Candidates {
    /// `None` if the text is too short for the index, or the index is absent or too far behind.
    fn of(connection: &Connection, text: Option<&str>) -> rusqlite::Result<Option<Self>> {
        let Some(trigrams) = text.and_then(trigrams) else { return Ok(None) };
        // Before all else: what the index takes in from now on is looked at twice, never missed.
        let Some(position) = search_index::position(connection)? else { return Ok(None) };
        let newest = "SELECT coalesce(max(position), 0) FROM changes";
        let newest: i64 = connection.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
        let in_reach = (0..=CANDIDATES_MAX).contains(&(newest - position));
        Ok(in_reach.then_some(Self { trigrams, position }))
    }

    /// How many there are, counted a little beyond what matters.
    fn count(&self, connection: &Connection) -> rusqlite::Result<i64> {
        let mut sql = SqlBuilder::new("SELECT count(*) FROM (SELECT 1 FROM ");
        self.push(&mut sql);
        sql.push(" LIMIT ").bind(CANDIDATES_MAX + 1).push(")");
        count(connection, &sql)
    }

    /// Appends them as a table with the column `pk`, each once.
    fn push(&self, sql: &mut SqlBuilder) {
        sql.push("(SELECT rowid AS pk FROM search.users_search WHERE users_search MATCH ")
            .bind(self.trigrams.clone())
            .push(" AND rowid NOT IN (SELECT user_pk FROM changes WHERE position > ")
            .bind(self.position)
            .push(") UNION ALL SELECT DISTINCT user_pk FROM changes WHERE position > ")
            .bind(self.position)
            .push(")");
    }
}

/// Appends the tables, candidates first, and the search and filter as conditions; `AND` may follow.
fn push_condition(
    candidates: Option<&Candidates>,
    search: Option<&str>,
    filter: Option<&Filter>,
    sql: &mut SqlBuilder,
) {
    sql.push("FROM ");
    if let Some(candidates) = candidates {
        candidates.push(sql);
        // Unlike JOIN, CROSS JOIN keeps SQLite from walking the users first.
        sql.push(" c CROSS JOIN users u ON u.pk = c.pk");
    } else {
        sql.push("users u");
    }
    sql.push(" WHERE TRUE");
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
