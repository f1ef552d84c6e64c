//! The SQL against a real table, with the evaluation in memory as the oracle.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rusqlite::{Connection, params, params_from_iter};

use super::{Dialect, SqlBuilder, Value, after_cursor, order_by, where_filter};
use crate::model::{
    User,
    filter::{Filter, search_text, testing},
    order::{Cursor, Order},
    text::{fold, unique_key},
};

fn table(users: &[User]) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE users (
            pk INTEGER PRIMARY KEY, id ANY NOT NULL UNIQUE, email_key TEXT NOT NULL, username_key TEXT,
            name TEXT NOT NULL, name_key TEXT NOT NULL, role INTEGER NOT NULL, status INTEGER NOT NULL, age INTEGER,
            phone TEXT NOT NULL, locale TEXT NOT NULL, attributes TEXT NOT NULL, email_verified INTEGER NOT NULL,
            created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, search_text TEXT NOT NULL
        ) STRICT;
        CREATE INDEX users_by_name ON users (name_key, id);
        CREATE INDEX users_by_email ON users (email_key);
        CREATE INDEX users_by_username ON users (username_key);
        CREATE INDEX users_by_created_at ON users (created_at, id);",
    )
    .unwrap();
    for (pk, user) in users.iter().enumerate() {
        db.execute(
            "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                pk as i64,
                user.id,
                unique_key(&user.email),
                (!user.username.is_empty()).then(|| unique_key(&user.username)),
                user.name,
                fold(&user.name),
                user.role as i64,
                user.status as i64,
                user.age,
                user.phone,
                user.locale,
                serde_json::to_string(&user.attributes).unwrap(),
                user.email_verified,
                user.created_at.0,
                user.updated_at.0,
                search_text(user),
            ],
        )
        .unwrap();
    }
    db
}

fn select(filter: Option<&Filter>, order: &Order, after: Option<&Cursor>) -> SqlBuilder {
    let mut sql = SqlBuilder::new(Dialect::Sqlite, "SELECT u.pk FROM users AS u WHERE TRUE");
    if let Some(filter) = filter {
        sql.push(" AND ");
        where_filter(filter, &mut sql);
    }
    if let Some(after) = after {
        sql.push(" AND ");
        after_cursor(order, after, &mut sql);
    }
    sql.push(" ORDER BY ");
    order_by(order, &mut sql);
    sql
}

fn rows(db: &Connection, sql: &SqlBuilder) -> Vec<usize> {
    let mut statement = db.prepare(sql.text()).unwrap_or_else(|error| panic!("{error}: {}", sql.text()));
    let rows = statement.query_map(params_from_iter(sql.params()), |row| row.get::<_, i64>(0)).unwrap();
    rows.map(|pk| pk.unwrap() as usize).collect()
}

proptest! {
    #![proptest_config(testing::config(2000))]

    #[test]
    fn answers_as_memory_does(users in testing::users(), filter in testing::filter(), order in testing::order()) {
        let sql = select(Some(&filter), &order, None);
        let mut expected: Vec<_> = (0..users.len()).filter(|&pk| filter.matches(&users[pk])).collect();
        expected.sort_by(|&a, &b| order.compare(&users[a], &users[b]));
        prop_assert_eq!(rows(&table(&users), &sql), expected, "{}\n{}", filter, sql.text());
    }

    #[test]
    fn pages_join_up(
        users in testing::users(),
        filter in prop::option::weighted(0.3, testing::filter()),
        order in testing::order(),
        size in 1..5u32,
    ) {
        let db = table(&users);
        let all = rows(&db, &select(filter.as_ref(), &order, None));
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let mut sql = select(filter.as_ref(), &order, after.as_ref());
            sql.push(" LIMIT ").bind(i64::from(size));
            let page = rows(&db, &sql);
            after = page.last().map(|&pk| order.cursor_of(&users[pk]));
            paged.extend(page);
            if after.is_none() {
                break;
            }
            prop_assert!(paged.len() <= users.len(), "{}", sql.text());
        }
        prop_assert_eq!(paged.iter().collect::<BTreeSet<_>>().len(), paged.len());
        prop_assert_eq!(paged, all, "{}", order);
    }
}

#[test]
fn conditions_are_plain_and_values_bound() {
    for (filter, expected) in [
        ("email = A@x.org", "u.email_key = ?"),
        ("email = a*", "u.email_key >= ? AND u.email_key < ?"),
        ("name = Al", "u.name_key = ? AND u.name = ?"),
        ("name:al OR alice", "(instr(u.name_key, ?) > 0 OR instr(u.search_text, ?) > 0)"),
        ("NOT (role = ADMIN OR created_at < 2026-01-01T00:00:00Z)", "u.role <> ? AND u.created_at >= ?"),
        ("NOT (status = ACTIVE AND age > 3)", "(u.status <> ? OR (u.age > ?) IS NOT TRUE)"),
        ("attributes.team = \"');--\"", "u.attributes ->> ? = ?"),
    ] {
        let mut sql = SqlBuilder::new(Dialect::Sqlite, "");
        where_filter(&Filter::parse(filter).unwrap().unwrap(), &mut sql);
        assert_eq!(sql.text(), expected, "{filter}");
    }
}

#[test]
fn single_terms_start_at_the_cursor_in_the_index() {
    let db = table(&[]);
    for (order, condition, plan) in [
        ("", "u.id > ?", "USING COVERING INDEX sqlite_autoindex_users_1 (id>?)"),
        ("id desc", "u.id < ?", "USING COVERING INDEX sqlite_autoindex_users_1 (id<?)"),
        ("name", "(u.name_key, u.id) > (?, ?)", "USING COVERING INDEX users_by_name ((name_key,id)>(?,?))"),
        (
            "created_at desc",
            "(u.created_at <= ? AND (u.created_at < ? OR u.id > ?))",
            "USING COVERING INDEX users_by_created_at (created_at<?)",
        ),
        (
            "created_at desc, id desc",
            "(u.created_at, u.id) < (?, ?)",
            "USING COVERING INDEX users_by_created_at ((created_at,id)<(?,?))",
        ),
    ] {
        let order = Order::parse(order).unwrap();
        let cursor = order.cursor_of(&example());
        let mut sql = SqlBuilder::new(Dialect::Sqlite, "");
        after_cursor(&order, &cursor, &mut sql);
        assert_eq!(sql.text(), condition);
        let query = select(None, &order, Some(&cursor));
        let explained: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {}", query.text()))
            .unwrap()
            .query_map(params_from_iter(query.params()), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(explained[0].contains(plan), "{order}: {explained:?}");
    }
}

/// Text sorts before blobs, and a user without a username comes first, last if descending.
#[test]
fn parameters_follow_the_question_marks() {
    let order = Order::parse("username desc, name").unwrap();
    let mut sql = SqlBuilder::new(Dialect::Sqlite, "");
    after_cursor(&order, &order.cursor_of(&example()), &mut sql);
    assert_eq!(
        sql.text(),
        "(u.username_key IS NULL OR u.username_key <= ? AND (u.username_key < ? OR \
         (u.name_key >= ? AND (u.name_key > ? OR u.id > ?))))"
    );
    let id = Value::from(&example().id);
    assert_eq!(sql.params(), [Value::from("al"), "al".into(), "alice".into(), "alice".into(), id]);
}

fn example() -> User {
    use crate::model::{Role, Timestamp, UserId, UserStatus};
    User {
        id: UserId::Text("a".into()),
        email: "a@x.org".to_owned(),
        name: "Alice".to_owned(),
        username: "Al".to_owned(),
        role: Role::User,
        status: UserStatus::Active,
        age: None,
        phone: String::new(),
        locale: String::new(),
        attributes: std::collections::BTreeMap::new(),
        email_verified: false,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        revision: 1,
    }
}

/// What an index over trigrams can serve asks it, and what it cannot keeps it out: to go through all of it takes longer than to
/// read all users.
#[test]
fn postgresql_is_asked_for_trigrams_where_there_are_any() {
    let sql_of = |filter: &str| {
        let mut sql = SqlBuilder::new(Dialect::Postgres, "");
        where_filter(&Filter::parse(filter).unwrap().unwrap(), &mut sql);
        sql.text().to_owned()
    };
    let served = " AND u.search_text LIKE $";
    for filter in ["name = \"Ada Lovelace\"", "name = \"*lovelace\"", "name = \"Ada*\"", "name:ada", "name = \"Žofie\""]
    {
        assert!(sql_of(filter).contains(served), "{filter}: {}", sql_of(filter));
    }
    // Neither is what has less than three letters, nor what folding may have joined with its neighbours.
    for filter in ["name = \"Al\"", "name:al", "name = \"*žofie*\"", "email = \"*@example.com\"", "phone:123"] {
        assert!(!sql_of(filter).contains("u.search_text"), "{filter}: {}", sql_of(filter));
    }
    assert_eq!(sql_of("al"), "(u.search_text LIKE $1) IS TRUE");
    assert_eq!(sql_of("ada"), "u.search_text LIKE $1");
    assert_eq!(sql_of("NOT name:ada"), "(u.name_key LIKE $1 AND u.search_text LIKE $2) IS NOT TRUE");
}
