//! Tokens of mailed links: random, good once, never shown but in the link itself.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Random bytes of a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// A token in clear. Wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeToken(Zeroizing<String>);

impl OneTimeToken {
    /// The token of these random bytes.
    #[must_use]
    pub fn of(random: &[u8; TOKEN_BYTES]) -> Self {
        Self(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(random)))
    }

    /// A new token from the system's randomness. None begins with `-`: on a command line it would be taken for a flag.
    ///
    /// # Errors
    /// The system gives none.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut random = Zeroizing::new([0; TOKEN_BYTES]);
        loop {
            getrandom::fill(random.as_mut_slice())?;
            let token = Self::of(&random);
            if !token.as_str().starts_with('-') {
                return Ok(token);
            }
        }
    }

    /// Whatever a caller shows as one: if it is none, its hash is nobody's.
    #[must_use]
    pub fn shown(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// A token as the store holds it.
    #[must_use]
    pub fn from_store(text: String) -> Self {
        Self::shown(text)
    }

    /// For the link, and for the outbox until it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the store knows it by: SHA-256. Nothing slower is needed, for there is nothing to guess.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for OneTimeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_43_characters_that_need_no_escaping_in_a_link_and_hides_itself() {
        let token = OneTimeToken::of(&[0xfb; 32]);
        assert_eq!(token.as_str().len(), 43);
        assert!(token.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        assert_eq!(format!("{token:?}"), "OneTimeToken(redacted)");
        assert_ne!(OneTimeToken::generate().unwrap(), OneTimeToken::generate().unwrap());
        assert_ne!(token.hash(), OneTimeToken::shown(token.as_str()[..42].into()).hash());
    }

    #[test]
    fn no_token_can_be_taken_for_a_flag() {
        // One in 64 would be.
        assert!((0..2_000).all(|_| !OneTimeToken::generate().unwrap().as_str().starts_with('-')));
    }
}
