//! What every use case is told about the call it serves.

use std::{
    cell::Cell,
    fmt,
    net::IpAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    auth::Caller,
    model::{ChangeMeta, Idempotency, Staleness, Timestamp},
};

/// One call.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// Who calls.
    pub caller: Caller,
    /// The call's `x-request-id`, which the change log keeps.
    pub request_id: RequestId,
    /// The IP address that the call came from; `None` for this machine's operator.
    pub remote: Option<IpAddr>,
    /// What the client says it is; empty if it says nothing.
    pub user_agent: UserAgent,
    /// What makes the call known again if it comes twice; `None` if its caller gave it no key.
    pub idempotency: Option<Arc<Idempotency>>,
    /// How old what the call reads may be.
    pub staleness: Staleness,
}

impl Ctx {
    /// What a write of this call carries into the change log.
    pub(super) fn change(&self, at: Timestamp, validate_only: bool) -> ChangeMeta {
        ChangeMeta {
            at,
            actor: self.caller.actor(),
            held: self.caller.permissions(),
            request_id: self.request_id.to_string(),
            remote_address: self.remote_address(),
            validate_only,
            idempotency: self.idempotency.clone(),
        }
    }

    /// The IP address that the call came from, as text; empty for this machine's operator.
    #[must_use]
    pub fn remote_address(&self) -> String {
        self.remote.map(|address| address.to_canonical().to_string()).unwrap_or_default()
    }
}

/// The `user-agent` of a call. Shared with the request's headers, so that it costs a call nothing.
#[derive(Clone, Debug, Default)]
pub struct UserAgent(pub Option<http::HeaderValue>);

impl UserAgent {
    /// As text; empty if there is none or it is no text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Names one call: 1 to 128 visible ASCII characters, so that it can break no log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Text);

/// Ids that we make have one length and need no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Made([u8; MADE_BYTES]),
    Given(Arc<str>),
}

/// Characters of an id that we make: 16 of the process, 16 of a counter, in hexadecimal.
const MADE_BYTES: usize = 32;
/// Characters that an id may have.
const MAX_BYTES: usize = 128;

impl RequestId {
    /// The id in `text`, if it is one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_id = (1..=MAX_BYTES).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        str::from_utf8(text).ok().filter(|_| is_id).map(|text| Self(Text::Given(text.into())))
    }

    /// A new id: unique without a system call for each.
    #[must_use]
    pub fn generate() -> Self {
        static PROCESS: LazyLock<[u8; 16]> =
            LazyLock::new(|| hex(getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))));
        let mut text = [0; MADE_BYTES];
        text[..16].copy_from_slice(&*PROCESS);
        text[16..].copy_from_slice(&hex(next_number()));
        Self(Text::Made(text))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Made(bytes) => str::from_utf8(bytes).unwrap_or_default(),
            Text::Given(text) => text,
        }
    }
}

/// A number that no other call of the process has. Threads take them by the block, so as not to fight for a counter.
fn next_number() -> u64 {
    const BLOCK: u64 = 1 << 10;
    static BLOCKS: AtomicU64 = AtomicU64::new(0);
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
    NEXT.with(|next| {
        let number = match next.get() {
            used_up if used_up % BLOCK == 0 => BLOCKS.fetch_add(BLOCK, Ordering::Relaxed),
            number => number,
        };
        next.set(number + 1);
        number
    })
}

fn hex(number: u64) -> [u8; 16] {
    std::array::from_fn(|index| b"0123456789abcdef"[(number >> (60 - 4 * index) & 0xf) as usize])
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
