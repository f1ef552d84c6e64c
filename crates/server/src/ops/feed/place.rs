//! Where a watch stands, as its resume tokens have it.

use crate::{
    model::{USER_ID_MAX_BYTES, UserId, filter::Filter},
    ops::page_token::{PageTokens, Scope, ScopedTokens},
};

/// Characters that a token may have.
pub(super) const TOKEN_MAX_CHARS: usize = 512;

/// Everything up to a position is known, of some users or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// In the change log.
    pub(super) position: i64,
    /// Of whom.
    pub(super) known: Known,
}

/// Of which users a watch has told everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Of all.
    All,
    /// Of nobody: a snapshot that has not begun.
    Nobody,
    /// Of those with no greater id: a snapshot that has come so far.
    Upto(UserId),
}

const ALL: u8 = 0;
const NOBODY: u8 = 1;
const UPTO: u8 = 2;
// A version, a MAC, a position and an id, in base64.
const _: () = assert!((1 + 16 + 8 + 1 + USER_ID_MAX_BYTES) * 4 / 3 + 2 <= TOKEN_MAX_CHARS);

/// The resume tokens of watches with one filter.
pub(super) struct ResumeTokens(ScopedTokens);

impl ResumeTokens {
    pub(super) fn new(tokens: &PageTokens, filter: Option<&Filter>) -> Self {
        let filter = filter.map(ToString::to_string).unwrap_or_default();
        // Of no caller: what may be seen is decided when it is sent.
        let (caller, order_by, search) = (String::new(), String::new(), "");
        Self(tokens.scoped(&Scope { method: "WatchUsers", caller, filter, order_by, search }))
    }

    pub(super) fn seal(&self, place: &Place) -> String {
        let mut bytes = place.position.to_be_bytes().to_vec();
        match &place.known {
            Known::All => bytes.push(ALL),
            Known::Nobody => bytes.push(NOBODY),
            Known::Upto(id) => {
                bytes.push(UPTO);
                bytes.extend_from_slice(id.to_text().as_bytes());
            }
        }
        self.0.seal(&bytes)
    }

    /// The place in a token of ours.
    pub(super) fn open(&self, token: &str) -> Option<Place> {
        if token.len() > TOKEN_MAX_CHARS {
            return None;
        }
        let bytes = self.0.unseal(token)?;
        let (position, rest) = bytes.split_first_chunk()?;
        let known = match rest.split_first()? {
            (&ALL, []) => Known::All,
            (&NOBODY, []) => Known::Nobody,
            (&UPTO, id) => Known::Upto(UserId::parse(std::str::from_utf8(id).ok()?).ok()?),
            _ => return None,
        };
        Some(Place { position: i64::from_be_bytes(*position), known })
    }
}
