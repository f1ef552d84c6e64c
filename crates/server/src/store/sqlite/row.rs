//! Users and changes as rows, and back.

use std::collections::BTreeMap;

use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use crate::{
    model::{Action, Change, Role, Timestamp, User, UserId, UserStatus, filter::search_text, text},
    store::StoreError,
};

/// `SELECT` of the columns that [`user_from_row`] reads, in its order, up to where the tables begin.
macro_rules! select_user {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.email, u.name, u.username, u.role, u.status, u.age, u.phone, u.locale, u.attributes, \
             u.email_verified, u.created_at, u.updated_at, u.revision ",
            $rest
        )
    };
}

/// A user by its id, `?1`.
pub(super) const USER_BY_ID: &str = select_user!("FROM users u WHERE u.id = ?1");
/// A user by the unique key of its email, `?1`.
pub(super) const USER_BY_EMAIL: &str = select_user!("FROM users u WHERE u.email_key = ?1");
/// The columns alone; tables and conditions follow.
pub(super) const USERS: &str = select_user!("");

/// Reads the columns of [`USERS`].
pub(super) fn user_from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(0)?,
        email: row.get(1)?,
        name: row.get(2)?,
        username: row.get(3)?,
        role: row.get(4)?,
        status: row.get(5)?,
        age: row.get(6)?,
        phone: row.get(7)?,
        locale: row.get(8)?,
        attributes: attributes_from(row.get_ref(9)?)?,
        email_verified: row.get(10)?,
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
        revision: row.get(13)?,
    })
}

fn attributes_from(value: ValueRef<'_>) -> FromSqlResult<BTreeMap<String, String>> {
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
    /// The `after` column of the user's change.
    pub(super) logged: String,
}

impl Derived {
    pub(super) fn of(user: &User) -> Result<Self, StoreError> {
        let internal = |error: serde_json::Error| StoreError::Internal(error.to_string());
        Ok(Self {
            email_key: text::unique_key(&user.email),
            username_key: (!user.username.is_empty()).then(|| text::unique_key(&user.username)),
            name_key: text::fold(&user.name),
            attributes: serde_json::to_string(&user.attributes).map_err(internal)?,
            search_text: search_text(user),
            logged: serde_json::to_string(user).map_err(internal)?,
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

pub(super) fn by_number<T: Copy>(all: &[(T, &str)], wanted: i64, number: fn(T) -> i64) -> FromSqlResult<T> {
    all.iter().map(|(value, _)| *value).find(|value| number(*value) == wanted).ok_or(FromSqlError::OutOfRange(wanted))
}

/// Reads `position, at, actor, action, user_id, revision, request_id, fields, after`.
pub(super) fn change_from_row(row: &Row<'_>) -> rusqlite::Result<Change> {
    let after: Option<String> = row.get(8)?;
    Ok(Change {
        position: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        user_id: row.get(4)?,
        revision: row.get(5)?,
        request_id: row.get(6)?,
        fields: serde_json::from_str(row.get_ref(7)?.as_str()?).map_err(FromSqlError::other)?,
        after: after.map(|json| serde_json::from_str(&json).map_err(FromSqlError::other)).transpose()?,
    })
}

impl FromSql for Action {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let wanted = value.as_str()?;
        let known = Self::ALL.iter().find(|(_, name)| *name == wanted);
        known.map(|(action, _)| *action).ok_or(FromSqlError::InvalidType)
    }
}
