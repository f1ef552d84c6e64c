//! Reads the change log as the feed, and users as they were.
//!
//! What is committed is in the users' table at once, and in the order of the log a little later. So whoever reads users as
//! of a position takes back what has a later one, and what has none yet.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    commands::EraseHistory,
    list,
    row::column,
    statement::{Answer, Statement},
    tx::{Tx, View},
    value::params,
};
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

/// Users that a page with a filter looks at, once there are changes to undo.
const WINDOW_USERS: i64 = 4_096;

#[async_trait]
impl FeedStore for PostgresStore {
    fn newest_position(&self) -> watch::Receiver<i64> {
        self.log.newest_position()
    }

    fn look_now(&self) {
        self.log.wake();
    }

    async fn log_end(&self) -> Result<i64, StoreError> {
        self.read(View::Numbered, async |tx| Ok(Extent::of(Some(tx.answer(Extent::after(0)).await?))?.newest)).await
    }

    async fn list_changes(&self, position: i64, limit: u32) -> Result<ChangePage, StoreError> {
        self.read(View::Numbered, async |tx| list_changes(tx, position, limit).await).await
    }

    async fn moment(&self, filter: Option<Filter>) -> Result<Moment, StoreError> {
        self.read(View::Numbered, async |tx| moment(tx, filter.as_ref(), None).await).await
    }

    async fn users_at(&self, query: UsersAt) -> Result<UsersAtPage, StoreError> {
        self.read(View::Snapshot, async |tx| users_at(tx, &query).await).await
    }

    async fn trim_log(&self, trim: LogTrim) -> Result<u32, StoreError> {
        // What deletions have left is erased as often as the log is looked after.
        const LEFT: &str = "SELECT TRUE FROM erasures LIMIT 1";
        while self.database.point(LEFT, params![]).await?.is_some() && self.execute(EraseHistory).await? {}
        self.execute(TrimLog(trim)).await
    }
}

/// How far the log goes back and on, and whether anything waits for its position; all as who has come to a position asks.
struct Extent {
    oldest: i64,
    newest: i64,
    waits: bool,
    /// The position was given by a server that was lost before this one had it.
    is_lost: bool,
}

impl Extent {
    /// What to ask; planned for what there is, as all that is asked of the log.
    fn after(position: i64) -> Statement {
        const SQL: &str =
            "SELECT coalesce(min(position), 0), coalesce(max(position), 0), EXISTS (SELECT FROM waiting_changes()),
                    EXISTS (SELECT FROM courses WHERE after < $1 AND $1 < first)
             FROM positions";
        Statement::new(SQL, params![position])
    }

    fn of(answer: Option<Answer>) -> Result<Self, StoreError> {
        let row = answer.and_then(|answer| answer.rows.into_iter().next());
        let row = row.ok_or_else(|| StoreError::Internal("the log has no ends".into()))?;
        let (oldest, newest) = (column(&row, 0)?, column(&row, 1)?);
        Ok(Self { oldest, newest, waits: column(&row, 2)?, is_lost: column(&row, 3)? })
    }

    /// Fails if a change after `position` is not there any more, or what is at `position` never was. Only the primary is
    /// asked, so nobody has come further than it unless that was on one that is lost.
    fn reaches(&self, position: i64) -> Result<(), StoreError> {
        let is_lost = self.is_lost || position > self.newest;
        if is_lost || self.oldest > position.saturating_add(1) { Err(StoreError::Trimmed) } else { Ok(()) }
    }
}

async fn list_changes(tx: &mut Tx<'_>, position: i64, limit: u32) -> Result<ChangePage, StoreError> {
    let mut sql = SqlBuilder::new(
        Dialect::Postgres,
        "SELECT p.position, c.at, c.actor, c.action, c.user_id, c.revision, c.request_id, c.fields, c.before, c.after
         FROM positions p JOIN shown_changes c ON c.seq = p.seq WHERE p.position > ",
    );
    sql.bind(position).push(" AND c.revision > 0 ORDER BY p.position LIMIT ").bind(i64::from(limit));
    let mut answers = tx.answers(vec![Extent::after(position), sql.into()]).await?.into_iter();
    let extent = Extent::of(answers.next())?;
    extent.reaches(position)?;
    let rows = answers.next().unwrap_or_default().rows;
    let changes = rows.iter().map(change_from_row).collect::<Result<Vec<_>, _>>()?;
    let is_full = changes.len() >= limit as usize;
    let upto = changes.last().filter(|_| is_full).map_or(extent.newest, |last| last.position);
    Ok(ChangePage { changes, upto })
}

/// Reads `position, at, actor, action, user_id, revision, request_id, fields, before, after`.
fn change_from_row(row: &Row) -> Result<Change, StoreError> {
    Ok(Change {
        position: column(row, 0)?,
        at: column(row, 1)?,
        actor: column(row, 2)?,
        action: column(row, 3)?,
        user_id: column(row, 4)?,
        revision: column(row, 5)?,
        request_id: column(row, 6)?,
        fields: serde_json::from_str(column(row, 7)?)
            .map_err(|error| StoreError::Corrupt(format!("fields of a change: {error}")))?,
        before: column(row, 8)?,
        after: column(row, 9)?,
    })
}

/// The newest position, and how many users there were then that match, of those after an id.
pub(super) async fn moment(
    tx: &mut Tx<'_>,
    filter: Option<&Filter>,
    after: Option<&UserId>,
) -> Result<Moment, StoreError> {
    let mut count = SqlBuilder::new(Dialect::Postgres, "SELECT count(*) FROM users u WHERE TRUE");
    if let Some(after) = after {
        count.push(" AND u.id > ").bind(after);
    }
    if let Some(filter) = filter {
        count.push(" AND ");
        where_filter(filter, &mut count);
    }
    let answers = tx.answers(vec![Extent::after(0), count.into(), not_yet_numbered(after)]).await?;
    let mut answers = answers.into_iter();
    let position = Extent::of(answers.next())?.newest;
    let count = answers.next().unwrap_or_default().rows;
    let mut user_count: i64 = count.first().map_or(Ok(0), |row| column(row, 0))?;
    let matches = |user: Option<StoredUser>| -> Result<bool, StoreError> {
        let Some(user) = user else { return Ok(false) };
        filter.map_or(Ok(true), |filter| user.user().map(|user| filter.matches(&user)))
    };
    for row in answers.next().unwrap_or_default().rows {
        let (before, now) = (before(column(&row, 0)?, column(&row, 1)?), column(&row, 2)?);
        user_count += i64::from(matches(before)?) - i64::from(matches(now)?);
    }
    Ok(Moment { position, user_count: user_count.unsigned_abs() })
}

/// The first change of each user that waits for its position, and the user as it is now.
fn not_yet_numbered(after: Option<&UserId>) -> Statement {
    let mut sql = SqlBuilder::new(
        Dialect::Postgres,
        "SELECT DISTINCT ON (c.user_id) c.action, c.before, u.message
         FROM waiting_changes() n JOIN shown_changes c ON c.seq = n.seq LEFT JOIN users u ON u.id = c.user_id
         WHERE c.revision > 0",
    );
    if let Some(after) = after {
        sql.push(" AND c.user_id > ").bind(after);
    }
    sql.push(" ORDER BY c.user_id, c.seq");
    sql.into()
}

async fn users_at(tx: &mut Tx<'_>, query: &UsersAt) -> Result<UsersAtPage, StoreError> {
    let extent = Extent::after(query.position);
    let mut answers = tx.answers(vec![extent, end_of_window(query.after.as_ref())]).await?.into_iter();
    let extent = Extent::of(answers.next())?;
    extent.reaches(query.position)?;
    let has_changed = extent.newest > query.position || extent.waits;
    let window = answers.next().unwrap_or_default().rows;
    // Few may match now in a range of ids of which many have changed, and each page reads all that has changed in its own.
    let is_bounded = query.filter.is_some() && has_changed;
    let mut last = window.first().filter(|_| is_bounded).map(|row| column(row, 0)).transpose()?;

    let after = query.after.clone().map(|id| Cursor { values: Vec::new(), id });
    let (filter, limit) = (query.filter.clone(), query.limit.max(1));
    let page = UserQuery { filter, search: None, order: Order::default(), after, limit };
    let rows = tx.answer(list::page(&page, last.as_ref())).await?.rows;
    let mut users = rows.iter().map(|row| column(row, 0)).collect::<Result<Vec<StoredUser>, _>>()?;
    if let Some(user) = users.last().filter(|_| users.len() >= limit as usize) {
        last = Some(user.user()?.id);
    }
    if has_changed {
        let mut changed = tx.answer(first_changes(query, last.as_ref(), limit)).await?.rows;
        if changed.len() > limit as usize {
            changed.truncate(limit as usize);
            last = changed.last().map(|row| column(row, 0)).transpose()?;
        }
        users = undo(users, &changed, last.as_ref(), query.filter.as_ref())?;
    }
    Ok(UsersAtPage { users, next_after: last })
}

/// The last id of the users that a page with a filter looks at; none if it looks at all that are left.
fn end_of_window(after: Option<&UserId>) -> Statement {
    let mut sql = SqlBuilder::new(Dialect::Postgres, "SELECT u.id FROM users u");
    if let Some(after) = after {
        sql.push(" WHERE u.id > ").bind(after);
    }
    sql.push(" ORDER BY u.id LIMIT 1 OFFSET ").bind(WINDOW_USERS - 1);
    sql.into()
}

/// The first change of each user since a moment, of those from one id to another, in the order of their ids: at most one more
/// than `limit`. Those that wait for their positions come after all others.
fn first_changes(query: &UsersAt, last: Option<&UserId>, limit: u32) -> Statement {
    let mut sql = SqlBuilder::new(
        Dialect::Postgres,
        "SELECT c.user_id, c.action, c.before FROM (SELECT DISTINCT ON (user_id) user_id, seq FROM (",
    );
    sql.push(
        "SELECT c.user_id, p.position, c.seq FROM positions p JOIN changes c ON c.seq = p.seq WHERE p.position > ",
    );
    sql.bind(query.position);
    push_range(query.after.as_ref(), last, &mut sql);
    sql.push(
        " UNION ALL SELECT c.user_id, NULL, c.seq FROM waiting_changes() n JOIN changes c ON c.seq = n.seq WHERE TRUE",
    );
    push_range(query.after.as_ref(), last, &mut sql);
    sql.push(") AS since ORDER BY user_id, position NULLS LAST, seq LIMIT ").bind(i64::from(limit) + 1);
    sql.push(") AS first JOIN shown_changes c ON c.seq = first.seq ORDER BY c.user_id");
    sql.into()
}

/// Only changes of users after one id and up to another.
fn push_range(after: Option<&UserId>, last: Option<&UserId>, sql: &mut SqlBuilder) {
    sql.push(" AND c.revision > 0");
    if let Some(after) = after {
        sql.push(" AND c.user_id > ").bind(after);
    }
    if let Some(last) = last {
        sql.push(" AND c.user_id <= ").bind(last);
    }
}

/// Puts users up to `last` back to what they were before their first change since, and drops those after it.
fn undo(
    now: Vec<StoredUser>,
    first_changes: &[Row],
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
    for row in first_changes {
        let id: UserId = column(row, 0)?;
        users.remove(&id);
        let Some(before) = before(column(row, 1)?, column(row, 2)?) else { continue };
        if filter.map_or(Ok(true), |filter| before.user().map(|user| filter.matches(&user)))? {
            users.insert(id, before);
        }
    }
    Ok(users.into_values().collect())
}

/// What a user was before a change; `None` for who was not there yet, or is not to be found any more.
fn before(action: Action, image: Option<StoredUser>) -> Option<StoredUser> {
    image.filter(|_| action != Action::Created)
}
