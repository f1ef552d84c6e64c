//! Our types out of PostgreSQL's values.

use std::error::Error;

use bytes::Bytes;
use tokio_postgres::{
    Row,
    types::{FromSql, Type, accepts},
};
use uuid::Uuid;

use crate::{
    model::{Action, Role, Timestamp, UserId, UserStatus},
    store::{StoreError, StoredUser},
};

type Unreadable = Box<dyn Error + Sync + Send>;

/// A column of a row. What we have written and cannot read is damaged.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, StoreError> {
    row.try_get(index).map_err(|error| {
        let reason = error.source().map(ToString::to_string).unwrap_or_default();
        StoreError::Corrupt(format!("{error}: {reason}"))
    })
}

/// What tells a text from a UUID in an id's bytes. Bytes compare as ids do: text comes first.
const TEXT_TAG: u8 = b't';
const UUID_TAG: u8 = b'u';

/// An id as a column holds it.
pub(super) fn id_bytes(id: &UserId) -> Vec<u8> {
    let (tag, bytes) = match id {
        UserId::Text(text) => (TEXT_TAG, text.as_bytes()),
        UserId::Uuid(uuid) => (UUID_TAG, &uuid.as_bytes()[..]),
    };
    [&[tag], bytes].concat()
}

impl<'a> FromSql<'a> for UserId {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        match raw.split_first() {
            Some((&TEXT_TAG, text)) => Ok(Self::Text(str::from_utf8(text)?.into())),
            Some((&UUID_TAG, bytes)) => Ok(Self::Uuid(Uuid::from_slice(bytes)?)),
            _ => Err("not the id of a user".into()),
        }
    }

    accepts!(BYTEA);
}

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        i64::from_sql(ty, raw).map(Self)
    }

    accepts!(INT8);
}

impl<'a> FromSql<'a> for StoredUser {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        Ok(Self::from_bytes(Bytes::copy_from_slice(raw)))
    }

    accepts!(BYTEA);
}

/// Reads an enum that is kept as its number.
pub(super) fn by_number<T: Copy>(all: &[(T, &str)], raw: &[u8], number: fn(T) -> i64) -> Result<T, Unreadable> {
    let wanted = i64::from(i16::from_sql(&Type::INT2, raw)?);
    let known = all.iter().map(|(value, _)| *value).find(|value| number(*value) == wanted);
    known.ok_or_else(|| format!("{wanted} is the number of nothing").into())
}

impl<'a> FromSql<'a> for Role {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        by_number(Self::ALL, raw, |role| role as i64)
    }

    accepts!(INT2);
}

impl<'a> FromSql<'a> for UserStatus {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        by_number(Self::ALL, raw, |status| status as i64)
    }

    accepts!(INT2);
}

impl<'a> FromSql<'a> for Action {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        let wanted = <&str>::from_sql(ty, raw)?;
        let known = Self::ALL.iter().find(|(_, name)| *name == wanted);
        known.map(|(action, _)| *action).ok_or_else(|| format!("{wanted:?} is no action").into())
    }

    accepts!(TEXT);
}
