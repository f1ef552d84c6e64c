//! Parameters of statements. They own what they hold, so that a statement can wait until it is sent along with others.

use std::{borrow::Cow, error::Error, fmt};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::{
    model::{Timestamp, UserId},
    store::{StoredUser, sql},
};

/// A parameter. Prints nothing of what it holds: some are secrets.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Bytes(Bytes),
    Uuid(Uuid),
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    ByteStrings(Vec<Option<Bytes>>),
    Bools(Vec<bool>),
    Uuids(Vec<Uuid>),
}

/// A list of parameters, each made by [`Value::from`].
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::store::postgres::value::Value::from($value)),*]
    };
}
pub(super) use params;

impl Value {
    /// Its type in statements that are not prepared, where the server cannot say what it expects.
    pub(super) fn type_of(&self) -> Type {
        match self {
            Self::Null | Self::Text(_) => Type::TEXT,
            Self::Bool(_) => Type::BOOL,
            Self::Int(_) => Type::INT8,
            Self::Bytes(_) => Type::BYTEA,
            Self::Uuid(_) => Type::UUID,
            Self::Ints(_) => Type::INT8_ARRAY,
            Self::Texts(_) => Type::TEXT_ARRAY,
            Self::ByteStrings(_) => Type::BYTEA_ARRAY,
            Self::Bools(_) => Type::BOOL_ARRAY,
            Self::Uuids(_) => Type::UUID_ARRAY,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.type_of())
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(number), &Type::INT2) => i16::try_from(*number)?.to_sql(ty, out),
            (Self::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            // The server reads JSON as a number of its binary format and the text.
            (Self::Text(json), &Type::JSONB) => {
                out.put_u8(1);
                out.put_slice(json_without_nul(json).as_bytes());
                Ok(IsNull::No)
            }
            (_, ty) if *ty != self.type_of() => Err(format!("{} for a parameter of type {ty}", self.type_of()).into()),
            (Self::Bool(truth), _) => truth.to_sql(ty, out),
            (Self::Int(number), _) => number.to_sql(ty, out),
            (Self::Text(text), _) => without_nul(text).to_sql(ty, out),
            (Self::Bytes(bytes), _) => (&bytes[..]).to_sql(ty, out),
            (Self::Uuid(uuid), _) => uuid.to_sql(ty, out),
            (Self::Ints(numbers), _) => numbers.to_sql(ty, out),
            (Self::Texts(texts), _) => texts.to_sql(ty, out),
            (Self::ByteStrings(all), _) => all.iter().map(|bytes| bytes.as_deref()).collect::<Vec<_>>().to_sql(ty, out),
            (Self::Bools(truths), _) => truths.to_sql(ty, out),
            (Self::Uuids(uuids), _) => uuids.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// PostgreSQL's text cannot hold NUL. None of ours does, but what is asked for may: U+0001 stands for it, which no text of
/// ours has either, and which sorts alike.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{1}")) } else { Cow::Borrowed(text) }
}

/// The same for JSON, where NUL is an escape.
pub(super) fn json_without_nul(json: &str) -> Cow<'_, str> {
    const NUL: &str = "\\u0000";
    if !json.contains(NUL) {
        return Cow::Borrowed(json);
    }
    let (mut kept, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        // A backslash and what it escapes are two letters at least: the next one may be a backslash too.
        let (escape, after) = match escape.strip_prefix(NUL) {
            Some(after) => ("\\u0001", after),
            None => escape.split_at(2),
        };
        kept.extend([before, escape]);
        rest = after;
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<sql::Value> for Value {
    fn from(value: sql::Value) -> Self {
        match value {
            sql::Value::Null => Self::Null,
            sql::Value::Bool(truth) => Self::Bool(truth),
            sql::Value::Int(number) => Self::Int(number),
            sql::Value::Text(text) => Self::Text(text),
            sql::Value::Id(id) => Self::from(&id),
        }
    }
}

/// Values that are one of the variants under another name.
macro_rules! values {
    ($($from:ty => $make:expr),+ $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                $make(value)
            }
        }
    )+};
}

values! {
    bool => Value::Bool,
    i64 => Value::Int,
    u32 => |number: u32| Value::Int(number.into()),
    u8 => |number: u8| Value::Int(number.into()),
    String => Value::Text,
    &String => |text: &String| Value::Text(text.clone()),
    &str => |text: &str| Value::Text(text.to_owned()),
    Bytes => Value::Bytes,
    Vec<u8> => |bytes: Vec<u8>| Value::Bytes(bytes.into()),
    &[u8] => |bytes: &[u8]| Value::Bytes(Bytes::copy_from_slice(bytes)),
    &[u8; 32] => |bytes: &[u8; 32]| Value::Bytes(Bytes::copy_from_slice(bytes)),
    [u8; 32] => |bytes: [u8; 32]| Value::Bytes(Bytes::copy_from_slice(&bytes)),
    Uuid => Value::Uuid,
    Timestamp => |time: Timestamp| Value::Int(time.0),
    &StoredUser => |user: &StoredUser| Value::Bytes(user.as_bytes().clone()),
    &UserId => |id: &UserId| Value::Bytes(super::row::id_bytes(id).into()),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_and_nothing_else() {
        assert_eq!(without_nul("a\0b"), "a\u{1}b");
        for text in ["a\0b", "\\u0000", "\\\0", "\"\\\n\u{0}", "ä\\"] {
            let json = serde_json::to_string(text).unwrap();
            let read: String = serde_json::from_str(&json_without_nul(&json)).unwrap();
            assert_eq!(read, text.replace('\0', "\u{1}"), "{json}");
        }
    }
}
