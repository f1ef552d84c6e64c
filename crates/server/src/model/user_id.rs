//! A user's id: a UUID that Roster made, or whatever stable name the caller brought along.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::Timestamp;

/// Bytes that an id may have.
pub const USER_ID_MAX_BYTES: usize = 64;

/// A user's id. Immutable, and never given to another user while this one exists.
///
/// Ids order by variant and then by value; the stores order the same way. A UUID is kept as its
/// sixteen bytes, which halves the index and keeps UUIDv7 in the order of creation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserId {
    /// An id that the caller chose and that is not a canonical UUID.
    Text(Arc<str>),
    /// A UUID; written in lower case with hyphens.
    Uuid(Uuid),
}

/// A fresh UUIDv7; see [`UserId::generate`].
pub(super) fn uuid_v7(now: Timestamp) -> Uuid {
    static CONTEXT: Mutex<uuid::ContextV7> = Mutex::new(uuid::ContextV7::new());
    let seconds = u64::try_from(now.seconds()).unwrap_or(0);
    let nanos = u32::try_from(now.nanos()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(&CONTEXT, seconds, nanos))
}

impl UserId {
    /// A fresh UUIDv7 ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562)): it starts with the time and
    /// a counter, so ids that a process makes later sort later.
    #[must_use]
    pub fn generate(now: Timestamp) -> Self {
        Self::Uuid(uuid_v7(now))
    }

    /// Parses an id: 1 to 64 of letters, digits and `. _ : | @ -`, starting with a letter or digit.
    /// Canonical UUIDs and their upper-case spelling name the same user.
    ///
    /// # Errors
    /// What an id may look like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const ALLOWED: &str = "must be 1 to 64 of letters, digits and . _ : | @ - and start with a letter or digit";
        if text.len() == 36
            && let Ok(uuid) = Uuid::try_parse(text)
        {
            return Ok(Self::Uuid(uuid));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:|@-".contains(&b);
        if text.is_empty()
            || text.len() > USER_ID_MAX_BYTES
            || !text.bytes().all(allowed)
            || !text.as_bytes()[0].is_ascii_alphanumeric()
        {
            return Err(ALLOWED);
        }
        Ok(Self::Text(text.into()))
    }
}

impl UserId {
    /// The id as text, without a formatter's cost.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.as_ref().to_owned(),
            Self::Uuid(uuid) => uuid.hyphenated().encode_lower(&mut [0; 36]).to_owned(),
        }
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uuid(uuid) => f.write_str(uuid.hyphenated().encode_lower(&mut [0; 36])),
        }
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_microseconds() {
        let ids: Vec<UserId> =
            (0..3_000).map(|micros| UserId::generate(Timestamp(1_800_000_000_000_000 + micros))).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let UserId::Uuid(last) = &ids[2_999] else { panic!("{}", ids[2_999]) };
        assert_eq!((last.get_version_num(), last.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(last.get_timestamp().map(|time| time.to_unix()), Some((1_800_000_000, 2_000_000)));
    }
}
