//! UUIDs as ids: how they are made, and a type for each kind of thing that has one.

use std::sync::Mutex;

use uuid::Uuid;

use super::Timestamp;

/// A fresh UUIDv7 ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562)): it starts with the time and
/// a counter, so ids that a process makes later sort later.
pub(super) fn uuid_v7(now: Timestamp) -> Uuid {
    static CONTEXT: Mutex<uuid::ContextV7> = Mutex::new(uuid::ContextV7::new());
    let seconds = u64::try_from(now.seconds()).unwrap_or(0);
    let nanos = u32::try_from(now.nanos()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(&CONTEXT, seconds, nanos))
}

/// A type for ids that are UUIDs and nothing else.
macro_rules! uuid_id {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A fresh one; those that a process makes later sort later.
            #[must_use]
            pub fn generate(now: $crate::model::Timestamp) -> Self {
                Self($crate::model::uuid_id::uuid_v7(now))
            }

            /// The id in canonical text, in either case; `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() == 36).then(|| uuid::Uuid::try_parse(text).ok().map(Self))?
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no id"))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

pub(super) use uuid_id;
