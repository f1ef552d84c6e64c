//! Rows of a file in the encoding that both backends share, and back.

use rusqlite::{
    Connection, OptionalExtension as _, Row, ToSql, params_from_iter,
    types::{FromSqlError, ToSqlOutput, ValueRef},
};

use crate::store::copy::{Batch, Cell, Cells, Kind, TEXT_ID, Table, Take, UUID_ID, names};

/// How many rows of the table are copied.
pub(super) fn count(connection: &Connection, table: &Table) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM {}{}", table.name, condition(table, None));
    connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

/// Reads them in the order of their key, after one of those.
pub(super) fn read(
    connection: &Connection,
    table: &'static Table,
    after: Option<&[u8]>,
    take: Take<'_>,
) -> rusqlite::Result<()> {
    let keys = names(table.key_columns());
    let sql = format!(
        "SELECT {} FROM {}{} ORDER BY {keys}",
        names(table.columns),
        table.name,
        condition(table, after.map(|_| keys.as_str()))
    );
    let mut statement = connection.prepare(&sql)?;
    let after = table.key_columns().iter().map(|column| column.kind).zip(Cells::of(after.unwrap_or_default()));
    let mut rows = statement.query(params_from_iter(after.map(|(kind, cell)| Bound(kind, cell))))?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next()? {
        put(&mut batch, row, table, table.columns.len())?;
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
pub(super) fn last_key(connection: &Connection, table: &Table) -> rusqlite::Result<Option<Vec<u8>>> {
    let backwards: Vec<_> = table.key_columns().iter().map(|column| format!("{} DESC", column.name)).collect();
    let sql = format!(
        "SELECT {} FROM {}{} ORDER BY {} LIMIT 1",
        names(table.key_columns()),
        table.name,
        condition(table, None),
        backwards.join(", ")
    );
    let key = |row: &Row<'_>| {
        let mut batch = Batch::default();
        put(&mut batch, row, table, table.key)?;
        Ok(batch.into_bytes())
    };
    connection.query_row(&sql, [], key).optional()
}

/// Which rows are meant; if keys are named, those after the one that is bound.
fn condition(table: &Table, keys: Option<&str>) -> String {
    let after = keys.map(|keys| format!("({keys}) > ({})", vec!["?"; table.key].join(", ")));
    let only = Some(table.only.to_owned()).filter(|only| !only.is_empty());
    let all: Vec<_> = only.into_iter().chain(after).collect();
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}

/// Adds the first `count` columns of a row.
fn put(batch: &mut Batch, row: &Row<'_>, table: &Table, count: usize) -> rusqlite::Result<()> {
    for (index, column) in table.columns[..count].iter().enumerate() {
        let value = row.get_ref(index)?;
        let text =
            |error: FromSqlError| rusqlite::Error::FromSqlConversionFailure(index, value.data_type(), Box::new(error));
        match (column.kind, value) {
            (_, ValueRef::Null) => batch.null(),
            (Kind::Int | Kind::Small | Kind::Bool, ValueRef::Integer(number)) => batch.int(number),
            (Kind::Text, ValueRef::Text(_)) => batch.text(value.as_str().map_err(text)?),
            (Kind::Json, ValueRef::Text(_)) => {
                let json = value.as_str().map_err(text)?;
                batch.json(json).map_err(|error| text(FromSqlError::other(error)))?;
            }
            (Kind::Bytes | Kind::Uuid, ValueRef::Blob(bytes)) => batch.bytes(bytes),
            // Nobody.
            (Kind::Id, ValueRef::Text([])) => batch.bytes(&[]),
            (Kind::Id, ValueRef::Text(_)) => batch.id(TEXT_ID, value.as_str().map_err(text)?.as_bytes()),
            (Kind::Id, ValueRef::Blob(bytes)) => batch.id(UUID_ID, bytes),
            _ => return Err(rusqlite::Error::InvalidColumnType(index, column.name.into(), value.data_type())),
        }
    }
    batch.end_row();
    Ok(())
}

/// A cell as a column of this kind holds it.
pub(super) struct Bound<'a>(pub(super) Kind, pub(super) Cell<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match (self.0, self.1) {
            (_, Cell::Null) => ValueRef::Null,
            (_, Cell::Int(number)) => ValueRef::Integer(number),
            (_, Cell::Text(text)) => ValueRef::Text(text.as_bytes()),
            (Kind::Id, Cell::Bytes([])) => ValueRef::Text(b""),
            (Kind::Id, Cell::Bytes([TEXT_ID, text @ ..])) => ValueRef::Text(text),
            (Kind::Id, Cell::Bytes([UUID_ID, uuid @ ..])) => ValueRef::Blob(uuid),
            (_, Cell::Bytes(bytes)) => ValueRef::Blob(bytes),
        }))
    }
}
