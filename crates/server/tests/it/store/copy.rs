//! What a copy between backends takes along: every table and column of both, or it says why not.

use std::collections::BTreeSet;

use roster_server::store::{
    Store as _,
    copy::{LEFT, TABLES},
    sqlite::{Location, SqliteOptions, SqliteStore},
};
use rusqlite::Connection;

use crate::postgres::Database;

/// A table, and a column of it.
type Columns = BTreeSet<(String, String)>;

/// What is in the schema and neither copied nor left with a reason.
fn forgotten(schema: &Columns) -> Vec<&(String, String)> {
    let is_copied = |(table, column): &(String, String)| {
        TABLES.iter().any(|known| known.name == *table && known.columns.iter().any(|known| known.name == *column))
    };
    let is_left = |(table, column): &(String, String)| {
        let of_table = |left: &&roster_server::store::copy::Left| left.table == *table;
        LEFT.iter().filter(of_table).any(|left| left.column.is_empty() || left.column == *column)
    };
    schema.iter().filter(|column| !is_copied(column) && !is_left(column)).collect()
}

/// What is said to be copied and is not in the schema.
fn invented(schema: &Columns, elsewhere: &[(&str, &str)]) -> Vec<(&'static str, &'static str)> {
    let all = TABLES.iter().flat_map(|table| table.columns.iter().map(|column| (table.name, column.name)));
    all.filter(|named| !schema.contains(&(named.0.to_owned(), named.1.to_owned())) && !elsewhere.contains(named))
        .collect()
}

#[tokio::test]
async fn no_table_and_no_column_of_a_file_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roster.db");
    let location = Location::File(path.clone());
    let options = SqliteOptions { location, cache_bytes: 0, write_queue_max: 16, reader_threads: 1 };
    SqliteStore::open(options).unwrap().close().await;
    let sql = "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
    let file = Connection::open(path).unwrap();
    let mut columns = file.prepare(sql).unwrap();
    let columns = columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let columns: Columns = columns.collect::<Result<_, _>>().unwrap();
    assert!(columns.contains(&("users".to_owned(), "message".to_owned())), "{columns:?}");
    let (forgotten, invented) = (forgotten(&columns), invented(&columns, &[]));
    assert!(forgotten.is_empty(), "to be copied, or left with a reason (store/copy/tables.rs): {forgotten:?}");
    assert!(invented.is_empty(), "{invented:?}");
}

#[tokio::test]
async fn no_table_and_no_column_of_postgresql_is_forgotten() {
    let database = Database::new();
    database.open().close().await;
    let sql = "SELECT c.table_name::TEXT, c.column_name::TEXT FROM information_schema.columns c
               JOIN information_schema.tables t USING (table_schema, table_name)
               WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'";
    let rows = database.connect().await.query(sql, &[]).await.unwrap();
    let columns: Columns = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(columns.contains(&("users".to_owned(), "message".to_owned())), "{columns:?}");
    // There it is in a table of its own.
    let (forgotten, invented) = (forgotten(&columns), invented(&columns, &[("changes", "position")]));
    assert!(forgotten.is_empty(), "to be copied, or left with a reason (store/copy/tables.rs): {forgotten:?}");
    assert!(invented.is_empty(), "{invented:?}");
}

/// Whoever reads the list of what is left learns why.
#[test]
fn whatever_is_left_behind_has_a_reason() {
    assert!(LEFT.iter().all(|left| left.why.len() > 10));
}

/// Every number that PostgreSQL hands out goes on behind those that came along; see `store/postgres/copy/destination.rs`.
#[tokio::test]
async fn there_are_three_sequences() {
    let database = Database::new();
    database.open().close().await;
    let sql = "SELECT c.relname::TEXT FROM pg_class c WHERE c.relkind = 'S' AND c.relnamespace = current_schema()::REGNAMESPACE
               ORDER BY 1";
    let rows = database.connect().await.query(sql, &[]).await.unwrap();
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["changes_seq_seq", "imports_pk_seq", "users_pk_seq"]);
}
