//! Rows of a database in the encoding that both backends share, and back.

use std::pin::pin;

use bytes::Bytes;
use tokio_postgres::{
    Client, Error, Row,
    binary_copy::BinaryCopyInWriter,
    types::{FromSql, Type},
};
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use crate::store::{
    copy::{Batch, Cell, Cells, Column, Kind, Table, Take, names},
    postgres::value::Value,
};

/// Why rows did not go over.
pub(super) enum Failed {
    /// What the server or the connection said.
    Server(Error),
    /// What is wrong with a value.
    Value(String),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

/// How many rows of the table are copied.
pub(super) async fn count(client: &Client, table: &Table) -> Result<u64, Error> {
    let sql = format!("SELECT count(*) FROM {}{}", relation(table), condition(table, None));
    Ok(client.query_one(&sql, &[]).await?.get::<_, i64>(0).unsigned_abs())
}

/// Reads them in the order of their key, after one of those.
pub(super) async fn read(
    client: &Client,
    table: &'static Table,
    after: Option<&[u8]>,
    take: Take<'_>,
) -> Result<(), Failed> {
    let keys = names(table.key_columns());
    let sql = format!(
        "SELECT {} FROM {}{} ORDER BY {keys}",
        selected(table.columns),
        relation(table),
        condition(table, after.map(|_| keys.as_str()))
    );
    let after = table.key_columns().iter().zip(Cells::of(after.unwrap_or_default()));
    let after = after.map(|(column, cell)| value(column, cell)).collect::<Result<Vec<_>, _>>()?;
    // The server waits while nobody takes what it sends.
    let mut rows = pin!(client.query_raw(&sql, &after).await?);
    let mut batch = Batch::default();
    while let Some(row) = rows.next().await {
        put(&mut batch, &row?, table, table.columns.len())?;
        if batch.is_full() && !take(std::mem::take(&mut batch)) {
            return Ok(());
        }
    }
    if batch.rows() > 0 {
        take(batch);
    }
    Ok(())
}

/// The key of the last row.
pub(super) async fn last_key(client: &Client, table: &Table) -> Result<Option<Vec<u8>>, Failed> {
    let backwards: Vec<_> = table.key_columns().iter().map(|column| format!("{} DESC", column.name)).collect();
    let sql = format!(
        "SELECT {} FROM {}{} ORDER BY {} LIMIT 1",
        selected(table.key_columns()),
        relation(table),
        condition(table, None),
        backwards.join(", ")
    );
    let Some(row) = client.query_opt(&sql, &[]).await? else { return Ok(None) };
    let mut batch = Batch::default();
    put(&mut batch, &row, table, table.key)?;
    Ok(Some(batch.into_bytes()))
}

/// Adds rows; the caller has begun a transaction.
pub(super) async fn write(client: &Client, table: &'static Table, batch: &Batch) -> Result<(), Failed> {
    let is_log = table.name == "changes";
    let columns = names(table.columns);
    // A row of the log is written where its position will be: nothing else tells their order.
    let columns = if is_log { columns.replacen("position", "seq", 1) } else { columns };
    let sink = client.copy_in(&format!("COPY {} ({columns}) FROM STDIN BINARY", table.name)).await?;
    let types: Vec<_> = table.columns.iter().map(|column| type_of(column.kind)).collect();
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    let mut cells = batch.cells();
    for _ in 0..batch.rows() {
        let row = table.columns.iter().zip(&mut cells).map(|(column, cell)| value(column, cell));
        let row = row.collect::<Result<Vec<_>, _>>()?;
        if row.len() < table.columns.len() {
            return Err(Failed::Value("it is cut off".into()));
        }
        writer.as_mut().write_raw(&row).await?;
    }
    writer.finish().await?;
    if is_log {
        // Whoever numbers next looks at everything: no transaction of this server is known to have ended.
        const NUMBER: &str = "INSERT INTO positions (position, seq, horizon) SELECT seq, seq, '0' FROM changes
             WHERE seq > (SELECT coalesce(max(position), 0) FROM positions)";
        client.execute(NUMBER, &[]).await?;
    }
    Ok(())
}

/// Where the rows are.
fn relation(table: &Table) -> &'static str {
    if table.name == "changes" { "positions JOIN changes USING (seq)" } else { table.name }
}

/// The columns as they are read.
fn selected(columns: &[Column]) -> String {
    let as_text = |column: &Column| match column.kind {
        Kind::Json => format!("{}::TEXT", column.name),
        _ => column.name.to_owned(),
    };
    columns.iter().map(as_text).collect::<Vec<_>>().join(", ")
}

/// Which rows are meant; if keys are named, those after the one that is bound.
fn condition(table: &Table, keys: Option<&str>) -> String {
    let places = || (1..=table.key).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
    let after = keys.map(|keys| format!("({keys}) > ({})", places()));
    let only = Some(table.only.to_owned()).filter(|only| !only.is_empty());
    let all: Vec<_> = only.into_iter().chain(after).collect();
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Int => Type::INT8,
        Kind::Small => Type::INT2,
        Kind::Bool => Type::BOOL,
        Kind::Text => Type::TEXT,
        Kind::Bytes | Kind::Id => Type::BYTEA,
        Kind::Uuid => Type::UUID,
        Kind::Json => Type::JSONB,
    }
}

/// A cell as a column takes it.
fn value(column: &Column, cell: Cell<'_>) -> Result<Value, Failed> {
    let unfit = |detail: &str| Failed::Value(format!("{}: {detail}", column.name));
    match (column.kind, cell) {
        (_, Cell::Null) => Ok(Value::Null),
        (Kind::Int, Cell::Int(number)) => Ok(Value::Int(number)),
        (Kind::Small, Cell::Int(number)) => {
            i16::try_from(number).map(|small| Value::Int(small.into())).map_err(|_| unfit("the number is too large"))
        }
        (Kind::Bool, Cell::Int(truth @ (0 | 1))) => Ok(Value::Bool(truth == 1)),
        (Kind::Text | Kind::Json, Cell::Text(text)) => {
            // As it is in JSON. A text that says so itself is refused with it, which costs nobody anything.
            let has_nul = text.contains('\0') || (column.kind == Kind::Json && text.contains("\\u0000"));
            if has_nul { Err(unfit("PostgreSQL's text holds no NUL")) } else { Ok(Value::Text(text.to_owned())) }
        }
        (Kind::Bytes | Kind::Id, Cell::Bytes(bytes)) => Ok(Value::Bytes(Bytes::copy_from_slice(bytes))),
        (Kind::Uuid, Cell::Bytes(bytes)) => {
            Uuid::from_slice(bytes).map(Value::Uuid).map_err(|_| unfit("it is no UUID"))
        }
        _ => Err(unfit("it is not of the column's type")),
    }
}

/// Adds the first `count` columns of a row.
fn put(batch: &mut Batch, row: &Row, table: &Table, count: usize) -> Result<(), Failed> {
    fn get<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<Option<T>, Error> {
        row.try_get(index)
    }
    for (index, column) in table.columns[..count].iter().enumerate() {
        let is_there = match column.kind {
            Kind::Int => get(row, index)?.map(|number: i64| batch.int(number)),
            Kind::Small => get(row, index)?.map(|number: i16| batch.int(number.into())),
            Kind::Bool => get(row, index)?.map(|truth: bool| batch.int(truth.into())),
            Kind::Text => get(row, index)?.map(|text: &str| batch.text(text)),
            Kind::Bytes | Kind::Id => get(row, index)?.map(|bytes: &[u8]| batch.bytes(bytes)),
            Kind::Uuid => get(row, index)?.map(|uuid: Uuid| batch.bytes(uuid.as_bytes())),
            Kind::Json => match get(row, index)? {
                Some(json) => Some(batch.json(json).map_err(|error| Failed::Value(error.to_string()))?),
                None => None,
            },
        };
        if is_there.is_none() {
            batch.null();
        }
    }
    batch.end_row();
    Ok(())
}
