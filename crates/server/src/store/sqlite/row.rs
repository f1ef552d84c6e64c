//! Our types as values of SQLite, and back.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use crate::{
    model::{Action, Role, Timestamp, UserId, UserStatus},
    store::{StoredUser, sql},
};

/// Reads a JSON object of strings.
pub(super) fn attributes_from(value: ValueRef<'_>) -> FromSqlResult<BTreeMap<String, String>> {
    match value.as_str()? {
        // Most users have none, and a parser would cost more than the rest of the row.
        "{}" => Ok(BTreeMap::new()),
        json => serde_json::from_str(json).map_err(FromSqlError::other),
    }
}

impl ToSql for UserId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
        }))
    }
}

impl FromSql for UserId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes).map(Self::Uuid).map_err(FromSqlError::other),
            other => other.as_str().map(|text| Self::Text(text.into())),
        }
    }
}

impl ToSql for sql::Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => Ok(ToSqlOutput::Borrowed(ValueRef::Null)),
            Self::Bool(truth) => truth.to_sql(),
            Self::Int(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
            Self::Id(id) => id.to_sql(),
        }
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl ToSql for StoredUser {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
    }
}

impl FromSql for StoredUser {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_blob().map(|bytes| Self::from_bytes(Bytes::copy_from_slice(bytes)))
    }
}

/// Reads an enum that is kept as its number.
pub(super) fn by_number<T: Copy>(all: &[(T, &str)], wanted: i64, number: fn(T) -> i64) -> FromSqlResult<T> {
    all.iter().map(|(value, _)| *value).find(|value| number(*value) == wanted).ok_or(FromSqlError::OutOfRange(wanted))
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        by_number(Self::ALL, value.as_i64()?, |role| role as i64)
    }
}

impl FromSql for UserStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        by_number(Self::ALL, value.as_i64()?, |status| status as i64)
    }
}

impl FromSql for Action {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let wanted = value.as_str()?;
        let known = Self::ALL.iter().find(|(_, name)| *name == wanted);
        known.map(|(action, _)| *action).ok_or(FromSqlError::InvalidType)
    }
}
