//! What every use case is told about the call it serves.

use std::fmt;

use bytes::Bytes;

use crate::{
    auth::Caller,
    model::{ChangeMeta, Timestamp},
};

/// One call.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// Who calls.
    pub caller: Caller,
    /// The call's `x-request-id`, which the change log keeps.
    pub request_id: RequestId,
}

impl Ctx {
    /// What a write of this call carries into the change log.
    pub(super) fn change(&self, at: Timestamp, validate_only: bool) -> ChangeMeta {
        ChangeMeta { at, actor: self.caller.actor(), request_id: self.request_id.to_string(), validate_only }
    }
}

/// Names one call: 1 to 128 visible ASCII characters, so that it can break no log line. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Bytes);

/// Characters that an id may have.
const MAX_BYTES: usize = 128;

impl RequestId {
    /// The id in `text`, if it is one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_id = (1..=MAX_BYTES).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        is_id.then(|| Self(Bytes::copy_from_slice(text)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id as bytes that can be shared.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Trusts `text` to be visible ASCII: for ids that we make.
impl From<String> for RequestId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}
