//! Users as rows, and back.
//!
//! A user's `message` is the user. The columns beside it are for filters, orders and uniqueness, and only they read
//! them; both are written together, from one [`User`].

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use crate::{
    model::{Action, Role, Timestamp, User, UserId, UserStatus, filter::search_text, text},
    store::{StoreError, StoredUser},
};

/// Reads a JSON object of strings.
pub(super) fn attributes_from(value: ValueRef<'_>) -> FromSqlResult<BTreeMap<String, String>> {
    match value.as_str()? {
        // Most users have none, and a parser would cost more than the rest of the row.
        "{}" => Ok(BTreeMap::new()),
        json => serde_json::from_str(json).map_err(FromSqlError::other),
    }
}

/// The columns that are made from a user's fields rather than being one.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) email_key: String,
    /// `None` if there is no username.
    pub(super) username_key: Option<String>,
    pub(super) name_key: String,
    /// A JSON object.
    pub(super) attributes: String,
    pub(super) search_text: String,
    pub(super) stored: StoredUser,
}

impl Derived {
    pub(super) fn of(user: &User) -> Result<Self, StoreError> {
        Ok(Self {
            email_key: text::unique_key(&user.email),
            username_key: (!user.username.is_empty()).then(|| text::unique_key(&user.username)),
            name_key: text::fold(&user.name),
            attributes: serde_json::to_string(&user.attributes)
                .map_err(|error| StoreError::Internal(error.to_string()))?,
            search_text: search_text(user),
            stored: StoredUser::of(user),
        })
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
