//! What makes a retry safe: the key that a caller names a call with, and what is derived from it.
//!
//! Nothing that is stored gives the key or the request away without the key itself: requests hold passwords, and
//! answers hold tokens. So both are bound to the key as the caller has it, and to a secret of the installation.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    constant_time::verify_slices_are_equal,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Actor;

/// Characters that a key may have.
pub const IDEMPOTENCY_KEY_MAX: usize = 128;

/// What a caller names a call with: 1 to 128 visible ASCII characters. Prints redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The key in `text`, if it is one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = (1..=IDEMPOTENCY_KEY_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        str::from_utf8(text).ok().filter(|_| fits).map(|text| Self(text.into()))
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(redacted)")
    }
}

/// Derives what is stored from keys.
pub struct IdempotencyKeys {
    keyed: Hmac<Sha256>,
}

impl IdempotencyKeys {
    /// With the installation's secret for it.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { keyed: keyed(&Zeroizing::new(secret)) }
    }

    /// The call of a method by its path, by this caller, with this key and request. `row` is its place in a call that
    /// does the same thing many times.
    #[must_use]
    pub fn call(
        &self,
        caller: &Actor,
        method: &str,
        key: &IdempotencyKey,
        row: Option<u32>,
        request: &[u8],
    ) -> Idempotency {
        let caller = caller.to_string();
        let row = row.map(u32::to_be_bytes);
        let row = row.as_ref().map_or(&b""[..], |row| row);
        let root = Zeroizing::new(mac(&self.keyed, &[caller.as_bytes(), method.as_bytes(), key.0.as_bytes(), row]));
        let root = keyed(&root);
        Idempotency {
            id: mac(&root, &[b"id"]),
            request: mac(&root, &[b"request", request]),
            sealing: Zeroizing::new(mac(&root, &[b"sealing"])),
            prepared: None,
        }
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // RFC 2104 fills a short key up with zeros to SHA-256's block.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    Hmac::new((&*block).into())
}

/// Each part with its length before it, so that no two lists of parts are alike.
fn mac(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// One call that can be told from every other. Prints nothing of what it was made from.
#[derive(Clone)]
pub struct Idempotency {
    /// Who called what with which key.
    pub id: [u8; 32],
    /// With which request.
    pub request: [u8; 32],
    sealing: Zeroizing<[u8; 32]>,
    prepared: Option<Zeroizing<Vec<u8>>>,
}

impl Idempotency {
    /// The same with its answer, where that is known before the command runs.
    #[must_use]
    pub fn answering(&self, answer: Vec<u8>) -> Self {
        Self { prepared: Some(Zeroizing::new(answer)), ..self.clone() }
    }

    /// The answer that was known before.
    #[must_use]
    pub fn prepared(&self) -> Option<&[u8]> {
        self.prepared.as_ref().map(|answer| answer.as_slice())
    }

    /// Whether it came with this request.
    #[must_use]
    pub fn is_of(&self, request: &[u8; 32]) -> bool {
        verify_slices_are_equal(&self.request, request).is_ok()
    }

    /// An answer for the store: nobody reads it without the caller's key.
    ///
    /// # Errors
    /// The system gave no randomness; a text for the log.
    pub fn seal(&self, answer: &[u8]) -> Result<Vec<u8>, String> {
        let mut text = answer.to_vec();
        let sealed = self.cipher().and_then(|key| key.seal_in_place_append_tag(Aad::from(self.id), &mut text));
        let nonce = sealed.map_err(|_| "an answer cannot be sealed")?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    /// What [`Idempotency::seal`] was given, if it was for this call.
    #[must_use]
    pub fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let key = self.cipher().ok()?;
        let opened = key.open_in_place(Nonce::from(nonce), Aad::from(self.id), &mut text).ok()?.len();
        text.truncate(opened);
        Some(text)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, aws_lc_rs::error::Unspecified> {
        RandomizedNonceKey::new(&AES_256_GCM, &*self.sealing)
    }
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idempotency(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserId;

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::parse(text.as_bytes()).unwrap()
    }

    fn actor(id: &str) -> Actor {
        Actor::User(UserId::parse(id).unwrap())
    }

    #[test]
    fn keys_are_visible_ascii_and_not_too_long() {
        assert!(IdempotencyKey::parse(&[b'~'; 128]).is_some());
        for bad in [&b""[..], &[b'a'; 129], b"a b", b"a\n", "ü".as_bytes(), b"\x7f"] {
            assert_eq!(IdempotencyKey::parse(bad), None, "{bad:?}");
        }
        assert!(!format!("{:?}", key("s3cret")).contains("s3cret"));
    }

    #[test]
    fn whatever_differs_makes_another_call_and_only_the_request_another_request() {
        let keys = IdempotencyKeys::new([7; 32]);
        let (ada, bea) = (actor("ada"), actor("bea"));
        let call = keys.call(&ada, "/a", &key("k"), None, b"request");
        let others = [
            keys.call(&bea, "/a", &key("k"), None, b"request"),
            keys.call(&ada, "/ak", &key("k"), None, b"request"),
            keys.call(&ada, "/a", &key("kk"), None, b"request"),
            keys.call(&ada, "/a", &key("k"), Some(0), b"request"),
            IdempotencyKeys::new([8; 32]).call(&ada, "/a", &key("k"), None, b"request"),
        ];
        let sealed = call.seal(b"answer").unwrap();
        for other in &others {
            assert_ne!(other.id, call.id);
            assert_ne!(other.request, call.request);
            assert_eq!(other.open(&sealed), None);
        }
        let another = keys.call(&ada, "/a", &key("k"), None, b"another request");
        assert_eq!(another.id, call.id);
        assert_ne!(another.request, call.request);
    }

    #[test]
    fn an_answer_is_read_back_whole_or_not_at_all() {
        let call = IdempotencyKeys::new([7; 32]).call(&Actor::Anonymous, "/a", &key("k"), None, b"");
        for answer in [&b""[..], b"an answer with a s3cret"] {
            let sealed = call.seal(answer).unwrap();
            assert_eq!(call.open(&sealed).unwrap().as_slice(), answer);
            assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
            assert_ne!(sealed, call.seal(answer).unwrap(), "a nonce twice");
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert_eq!(call.open(&changed), None, "byte {at}");
                assert_eq!(call.open(&sealed[..at]), None, "{at} bytes of it");
            }
        }
    }
}
