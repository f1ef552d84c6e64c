//! API keys as their holders have them: `rk_`, the id, `_`, and a secret of 256 bits.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::model::{ApiKeyId, Timestamp};

/// What every key starts with, so that scanners of source code find those that leaked.
const MARK: &str = "rk_";
/// Characters of a key that may be shown: the mark and a part of the id.
const PREFIX_CHARS: usize = 12;
/// Characters of an id, 16 bytes, in base64url.
const ID_CHARS: usize = 22;
/// Characters of the secret, 32 bytes, in base64url.
const SECRET_CHARS: usize = 43;

/// A whole key, to be shown once. Prints redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// A new key with its id.
    ///
    /// # Errors
    /// The system gave no randomness; a text for the log.
    pub fn generate(now: Timestamp) -> Result<(ApiKeyId, Self), String> {
        let (mut random, mut secret) = ([0; 10], [0; 32]);
        getrandom::fill(&mut random).and_then(|()| getrandom::fill(&mut secret)).map_err(|error| error.to_string())?;
        let millis = u64::try_from(now.0.div_euclid(1_000)).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Ok((ApiKeyId(id), Self(format!("{MARK}{}_{}", encode(id.as_bytes()), encode(&secret)))))
    }

    /// A key that was kept for its owner, if it is one.
    #[must_use]
    pub fn from_kept(text: String) -> Option<Self> {
        parse(text.as_bytes()).map(|_| Self(text))
    }

    /// How the key starts: enough to recognise it by, nothing of the secret.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..PREFIX_CHARS]
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// The key itself, for the response to its owner.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeySecret(redacted)")
    }
}

/// Id and hash of the key that these bytes are; `None` if they are none. A key has one spelling.
pub(super) fn parse(bytes: &[u8]) -> Option<(ApiKeyId, [u8; 32])> {
    let (id, secret) = bytes.strip_prefix(MARK.as_bytes())?.split_at_checked(ID_CHARS)?;
    let secret = secret.strip_prefix(b"_").filter(|secret| secret.len() == SECRET_CHARS)?;
    let id = BASE64_URL_SAFE_NO_PAD.decode(id).ok()?;
    BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
    Some((ApiKeyId(Uuid::from_slice(&id).ok()?), Sha256::digest(bytes).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

    #[test]
    fn a_key_is_read_back_and_shows_nothing_of_its_secret() {
        let (id, key) = ApiKeySecret::generate(NOW).unwrap();
        let (other, _) = ApiKeySecret::generate(NOW).unwrap();
        assert_ne!(id, other);
        assert_eq!(parse(key.0.as_bytes()), Some((id, key.hash())));
        assert!(key.prefix().starts_with("rk_") && key.prefix().len() < MARK.len() + ID_CHARS);
        assert_eq!(format!("{key:?}"), "ApiKeySecret(redacted)");
    }

    #[test]
    fn what_is_cut_changed_or_spelled_otherwise_is_another_key_or_none() {
        let (_, key) = ApiKeySecret::generate(NOW).unwrap();
        let text = key.0.as_bytes();
        for at in 0..text.len() {
            assert_eq!(parse(&text[..at]), None, "{at} bytes of it");
            for change in [1, 0x20, 0x80] {
                let mut changed = text.to_vec();
                changed[at] ^= change;
                assert!(parse(&changed).is_none_or(|(_, hash)| hash != key.hash()), "byte {at}");
            }
        }
        assert_eq!(parse(&[text, b"="].concat()), None);
        assert_eq!(parse(&[text, b"A"].concat()), None);
    }
}
