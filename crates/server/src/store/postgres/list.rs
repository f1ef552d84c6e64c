//! Lists, searches and counts.
//!
//! Their SQL is planned anew each time, with its values in view: how many a text matches decides whether the index over
//! trigrams is asked, or users are read in the wanted order until the page is full.

use super::{row::column, statement::Statement, tx::Tx};
use crate::{
    model::UserId,
    store::{
        StoreError, StoredUser, UserQuery,
        sql::{Dialect, SqlBuilder, after_cursor, order_by, where_filter},
    },
};

/// See [`crate::store::Store::list_users`].
pub(super) async fn list_users(tx: &mut Tx<'_>, query: &UserQuery) -> Result<Vec<StoredUser>, StoreError> {
    tx.answer(page(query, None)).await?.rows.iter().map(|row| column(row, 0)).collect()
}

/// A page of users, without those of greater ids than `upto`.
pub(super) fn page(query: &UserQuery, upto: Option<&UserId>) -> Statement {
    let mut sql = SqlBuilder::new(Dialect::Postgres, "SELECT u.message FROM users u WHERE ");
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
    sql.into()
}

/// See [`crate::store::Store::search_users`]. Page and total come in one round trip, of one moment.
pub(super) async fn search_users(
    tx: &mut Tx<'_>,
    query: &UserQuery,
    total_max: u32,
) -> Result<(Vec<StoredUser>, u32), StoreError> {
    let mut answers = tx.answers(vec![page(query, None), count(query, total_max)]).await?.into_iter();
    let (page, total) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
    let users = page.rows.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
    let total: i64 = total.rows.first().map_or(Ok(0), |row| column(row, 0))?;
    Ok((users, u32::try_from(total).unwrap_or(u32::MAX)))
}

/// How many users match, counted no further than `max`.
fn count(query: &UserQuery, max: u32) -> Statement {
    let mut sql = SqlBuilder::new(Dialect::Postgres, "SELECT count(*) FROM (SELECT FROM users u WHERE ");
    push_condition(query, &mut sql);
    sql.push(" LIMIT ").bind(i64::from(max)).push(") AS matching");
    sql.into()
}

/// Appends the search and the filter as conditions; `AND` may follow.
fn push_condition(query: &UserQuery, sql: &mut SqlBuilder) {
    sql.push("TRUE");
    if let Some(text) = &query.search {
        sql.push(" AND ");
        sql.push_contains(
            |sql| {
                sql.push("u.search_text");
            },
            text,
        );
    }
    if let Some(filter) = &query.filter {
        sql.push(" AND ");
        where_filter(filter, sql);
    }
}
