//! `roster copy` between a SQLite file and a PostgreSQL database.

mod interrupted;
mod moving;
mod refused;

use std::path::Path;

use rusqlite::{Connection, types::ValueRef};

use crate::{
    postgres::Database,
    process::{Ended, ROSTER, command, run},
    server::{Server, serve},
};

/// `roster copy` in `folder`.
fn copy(folder: &Path, from: &str, to: &str) -> Ended {
    run(command(ROSTER, folder).args(["copy", "--output", "json", "--from", from, "--to", to]))
}

/// `roster serve --dev` on this database.
fn serve_on(folder: &Path, database: &str) -> Result<Server, Ended> {
    Server::try_start(serve(folder).args(["--database-url", database]))
}

/// That no server starts on it, and that it says why in one line.
#[track_caller]
fn assert_not_served(folder: &Path, database: &str) {
    let refused = serve_on(folder, database).unwrap_err().with_code(65);
    let last = refused.err.lines().last().unwrap();
    assert!(last.contains("unfinished copy of another database"), "{refused:?}");
    assert!(last.contains("let the same roster copy run to its end"), "{refused:?}");
    let doctor = ["doctor", "--grpc-addr", "127.0.0.1:0", "--http-addr", "off", "--database-url", database];
    let doctor = run(command(ROSTER, folder).args(doctor));
    assert!(doctor.code != Some(0) && doctor.out.contains("unfinished copy"), "{doctor:?}");
}

/// What a copy need not have as the source has it; see `store/copy/tables.rs`.
const MAY_DIFFER: &[(&str, &str)] = &[("changes", "user_pk"), ("import_verdicts", "pk")];

/// A line for every row of every table, with the schema before them.
fn dump(file: &Path) -> Vec<String> {
    let database = Connection::open(file).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let mut lines = texts("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name");
    for name in ["application_id", "user_version"] {
        let number: i64 = database.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        lines.push(format!("{name} {number}"));
    }
    for table in texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name") {
        let columns = texts(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let columns: Vec<_> =
            columns.into_iter().filter(|column| !MAY_DIFFER.contains(&(table.as_str(), column.as_str()))).collect();
        let mut statement = database.prepare(&format!("SELECT {} FROM {table}", columns.join(", "))).unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut of_table = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<_> = (0..columns.len()).map(|index| shown(row.get_ref(index).unwrap())).collect();
            of_table.push(format!("{table}: {}", cells.join(" | ")));
        }
        of_table.retain(|line| !line.starts_with("secrets: \"database\""));
        of_table.sort();
        lines.extend(of_table);
    }
    lines
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("{:?}", String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (dump(one), dump(other));
    let differ: Vec<_> = one.iter().filter(|line| !other.contains(line)).take(3).collect();
    assert!(differ.is_empty() && one.len() == other.len(), "{} and {} lines; {differ:#?}", one.len(), other.len());
}

/// What a query for one number gives; 0 before the table is there.
async fn number(client: &tokio_postgres::Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.map_or(0, |row| row.get(0))
}

/// Runs it to its end, for tests that mostly block.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A database with nothing in it.
fn blank() -> Database {
    Database::blank()
}
