//! Refresh tokens: which session, which of its tokens, and proof that we made it.
//!
//! A token is `rr_` and the base64url of the session's id, the token's number in the session, 32 random bytes and a
//! MAC. The MAC tells a token that was used before, whose second use ends the session, from garbage, which must not:
//! else whoever knows the id of a session could end it. The store keeps no more than a hash of the latest token.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::model::SessionId;

/// Tells a token from other secrets, for people and for scanners of leaked ones.
const PREFIX: &str = "rr_";
const ID_BYTES: usize = 16;
const GENERATION_BYTES: usize = 4;
const RANDOM_BYTES: usize = 32;
/// 128 bits of the MAC: no token can be guessed in the life of the key.
const MAC_BYTES: usize = 16;
const SIGNED_BYTES: usize = ID_BYTES + GENERATION_BYTES + RANDOM_BYTES;
const TOKEN_BYTES: usize = SIGNED_BYTES + MAC_BYTES;

/// A refresh token, for its owner's eyes.
pub struct RefreshToken {
    text: Zeroizing<String>,
    /// SHA-256 of it: what the store keeps.
    pub hash: [u8; 32],
}

impl RefreshToken {
    /// A token that was kept for its owner.
    #[must_use]
    pub fn from_kept(text: String) -> Option<Self> {
        let text = Zeroizing::new(text);
        let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?);
        Some(Self { text, hash: Sha256::digest(&*bytes).into() })
    }

    /// The token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(redacted)")
    }
}

/// What a token that we made says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The session.
    pub session: SessionId,
    /// Which of the session's tokens, counted from 0.
    pub generation: u32,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
}

/// Makes and reads refresh tokens.
pub struct RefreshTokens {
    keyed: Hmac<Sha256>,
}

impl RefreshTokens {
    /// With the installation's key for them.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        // RFC 2104 fills a short key up with zeros to SHA-256's block.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(&key);
        Self { keyed: Hmac::new((&*block).into()) }
    }

    /// The token of a session with this number. `random` must be new for each.
    #[must_use]
    pub fn issue(&self, session: SessionId, generation: u32, random: &[u8; RANDOM_BYTES]) -> RefreshToken {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES));
        bytes.extend_from_slice(session.0.as_bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(random);
        let mac = self.mac(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + TOKEN_BYTES.div_ceil(3) * 4));
        text.push_str(PREFIX);
        BASE64_URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        RefreshToken { text, hash: Sha256::digest(&*bytes).into() }
    }

    /// What a token says, if we made it.
    #[must_use]
    pub fn open(&self, token: &str) -> Option<Opened> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        let written = BASE64_URL_SAFE_NO_PAD.decode_slice(token.strip_prefix(PREFIX)?, &mut *bytes).ok()?;
        let (signed, mac) = bytes.get(..written).filter(|_| written == TOKEN_BYTES)?.split_at(SIGNED_BYTES);
        self.mac(signed).verify_truncated_left(mac).ok()?;
        let (id, rest) = signed.split_first_chunk::<ID_BYTES>()?;
        let (generation, _) = rest.split_first_chunk::<GENERATION_BYTES>()?;
        Some(Opened {
            session: SessionId(Uuid::from_bytes(*id)),
            generation: u32::from_be_bytes(*generation),
            hash: Sha256::digest(&bytes[..]).into(),
        })
    }

    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(signed);
        mac
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    fn tokens() -> RefreshTokens {
        RefreshTokens::new([7; 32])
    }

    fn session() -> SessionId {
        SessionId(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001))
    }

    #[test]
    fn a_token_says_what_it_was_made_of_and_shows_itself_to_nobody() {
        let token = tokens().issue(session(), 70_000, &[1; 32]);
        assert!(token.as_str().starts_with("rr_") && token.as_str().len() == 94, "{}", token.as_str());
        let opened = Opened { session: session(), generation: 70_000, hash: token.hash };
        assert_eq!(tokens().open(token.as_str()), Some(opened));
        assert_eq!(RefreshTokens::new([8; 32]).open(token.as_str()), None);
        assert_eq!(format!("{token:?}"), "RefreshToken(redacted)");
        assert_ne!(tokens().issue(session(), 70_000, &[2; 32]).hash, token.hash);
    }

    #[test]
    fn no_bit_can_be_changed_and_no_part_left_out() {
        let token = tokens().issue(session(), 0, &[1; 32]);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token.as_str()[3..]).unwrap();
        for at in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[at / 8] ^= 1 << (at % 8);
            assert_eq!(tokens().open(&format!("rr_{}", BASE64_URL_SAFE_NO_PAD.encode(forged))), None, "bit {at}");
        }
        for length in 0..bytes.len() {
            assert_eq!(tokens().open(&format!("rr_{}", BASE64_URL_SAFE_NO_PAD.encode(&bytes[..length]))), None);
        }
        for length in 0..token.as_str().len() {
            assert_eq!(tokens().open(&token.as_str()[..length]), None, "length {length}");
        }
        for other in [&token.as_str()[3..], &format!("{}A", token.as_str()), &format!("{}=", token.as_str())] {
            assert_eq!(tokens().open(other), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, rng_seed: RngSeed::Fixed(6), ..ProptestConfig::default() })]

        #[test]
        fn garbage_is_no_token(text in "(rr_)?\\PC{0,120}|rr_[A-Za-z0-9_-]{85,100}", at in 0..94_usize, c in any::<char>()) {
            prop_assert_eq!(tokens().open(&text), None);
            let token = tokens().issue(session(), 3, &[9; 32]);
            let mut chars: Vec<char> = token.as_str().chars().collect();
            if chars[at] != c {
                chars[at] = c;
                prop_assert_eq!(tokens().open(&String::from_iter(chars)), None);
            }
        }
    }
}
