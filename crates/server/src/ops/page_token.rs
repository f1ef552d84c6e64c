//! Page tokens: opaque, of one query and one caller, and proof against tampering (AIP-158).
//!
//! A token is `~` and the base64url of a version byte, a MAC and the cursor. The MAC covers the
//! query too, so a token cannot be carried over to another filter, order or caller. No user id
//! starts with `~`, so a token and the bare id that seed clients send cannot be confused.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    model::UserId,
    store::{Cursor, CursorValue},
};

const VERSION: u8 = 1;
/// 128 bits of the MAC: no token can be guessed in the life of the key.
const MAC_BYTES: usize = 16;
/// A token longer than this was never ours: an id, eight values of text, and base64.
const TOKEN_MAX_BYTES: usize = 16 * 1024;

/// What a token is bound to, in canonical form.
#[derive(Debug, Serialize)]
pub(super) struct Scope<'a> {
    pub(super) method: &'a str,
    pub(super) caller: String,
    pub(super) filter: String,
    pub(super) order_by: String,
    pub(super) search: &'a str,
}

/// Makes and reads tokens.
pub(super) struct PageTokens {
    keyed: Hmac<Sha256>,
}

impl PageTokens {
    pub(super) fn new(key: [u8; 32]) -> Self {
        // RFC 2104 fills a short key up with zeros to SHA-256's block.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key);
        Self { keyed: Hmac::new(&block.into()) }
    }

    /// The token for the page after `cursor`.
    pub(super) fn issue(&self, scope: &Scope<'_>, cursor: &Cursor) -> String {
        self.seal(scope, &encode(cursor))
    }

    /// The cursor in `token`, if we issued it for this scope.
    pub(super) fn open(&self, scope: &Scope<'_>, token: &str) -> Option<Cursor> {
        decode(&self.unseal(scope, token)?)
    }

    /// A token for a place that its method alone can read.
    pub(super) fn seal(&self, scope: &Scope<'_>, place: &[u8]) -> String {
        self.scoped(scope).seal(place)
    }

    /// The place in `token`, if we sealed it for this scope.
    pub(super) fn unseal(&self, scope: &Scope<'_>, token: &str) -> Option<Vec<u8>> {
        self.scoped(scope).unseal(token)
    }

    /// The tokens of one scope, for who makes many.
    pub(super) fn scoped(&self, scope: &Scope<'_>) -> ScopedTokens {
        let mut keyed = self.keyed.clone();
        // JSON keeps the parts of the scope apart; the length keeps the scope and the body apart.
        let scope = serde_json::to_vec(scope).unwrap_or_default();
        keyed.update(&(scope.len() as u64).to_be_bytes());
        keyed.update(&scope);
        ScopedTokens { keyed }
    }
}

/// Makes and reads the tokens of one scope.
pub(super) struct ScopedTokens {
    /// Has taken the scope in.
    keyed: Hmac<Sha256>,
}

impl ScopedTokens {
    /// See [`PageTokens::seal`].
    pub(super) fn seal(&self, place: &[u8]) -> String {
        let mac: [u8; 32] = self.hmac(place).finalize().into_bytes().into();
        let mut token = Vec::with_capacity(1 + MAC_BYTES + place.len());
        token.push(VERSION);
        token.extend_from_slice(&mac[..MAC_BYTES]);
        token.extend_from_slice(place);
        format!("~{}", BASE64_URL_SAFE_NO_PAD.encode(token))
    }

    /// See [`PageTokens::unseal`].
    pub(super) fn unseal(&self, token: &str) -> Option<Vec<u8>> {
        let text = token.strip_prefix('~').filter(|text| text.len() <= TOKEN_MAX_BYTES)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (mac, body) = bytes.strip_prefix(&[VERSION])?.split_at_checked(MAC_BYTES)?;
        self.hmac(body).verify_truncated_left(mac).ok()?;
        Some(body.to_vec())
    }

    fn hmac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut hmac = self.keyed.clone();
        hmac.update(body);
        hmac
    }
}

/// A cursor as the token holds it.
#[derive(Serialize, Deserialize)]
struct Body(UserId, Vec<serde_json::Value>);

fn encode(cursor: &Cursor) -> Vec<u8> {
    let values = cursor.values.iter().map(|value| match value {
        CursorValue::Absent => serde_json::Value::Null,
        CursorValue::Int(number) => (*number).into(),
        CursorValue::Text(text) => text.as_str().into(),
    });
    serde_json::to_vec(&Body(cursor.id.clone(), values.collect())).unwrap_or_default()
}

fn decode(body: &[u8]) -> Option<Cursor> {
    let Body(id, values) = serde_json::from_slice(body).ok()?;
    let values = values.into_iter().map(|value| match value {
        serde_json::Value::Null => Some(CursorValue::Absent),
        serde_json::Value::Number(number) => number.as_i64().map(CursorValue::Int),
        serde_json::Value::String(text) => Some(CursorValue::Text(text)),
        _ => None,
    });
    Some(Cursor { id, values: values.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(caller: &str) -> Scope<'_> {
        Scope {
            method: "ListUsers",
            caller: caller.into(),
            filter: "role = ADMIN".into(),
            order_by: "name".into(),
            search: "",
        }
    }

    fn cursor() -> Cursor {
        let values = vec![CursorValue::Absent, CursorValue::Int(-7), CursorValue::Text("zoë".into())];
        Cursor { values, id: UserId::parse("u-1").unwrap() }
    }

    #[test]
    fn a_token_opens_for_its_own_scope_alone() {
        let tokens = PageTokens::new([7; 32]);
        let token = tokens.issue(&scope("developer"), &cursor());
        assert_eq!(tokens.open(&scope("developer"), &token), Some(cursor()));
        assert_eq!(tokens.open(&scope("anonymous"), &token), None);
        assert_eq!(tokens.open(&Scope { filter: String::new(), ..scope("developer") }, &token), None);
        assert_eq!(PageTokens::new([8; 32]).open(&scope("developer"), &token), None);
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed_and_no_part_left_out() {
        let tokens = PageTokens::new([7; 32]);
        let token = tokens.issue(&scope("developer"), &cursor());
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token[1..]).unwrap();
        for at in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[at / 8] ^= 1 << (at % 8);
            let forged = format!("~{}", BASE64_URL_SAFE_NO_PAD.encode(forged));
            assert_eq!(tokens.open(&scope("developer"), &forged), None, "bit {at}");
        }
        for length in 0..token.len() {
            assert_eq!(tokens.open(&scope("developer"), &token[..length]), None, "length {length}");
        }
    }
}
