//! The keys that sign access tokens, in memory, and their public halves for others to verify with.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{model::Timestamp, store::SigningKey};

/// How long a retired key stays beyond the life of its last token. A node that has not heard of a rotation yet may sign
/// with it for a while: every node looks for new keys each `housekeeping_every_ms`, at most four minutes.
const GRACE_MICROS: i64 = 5 * 60 * 1_000_000;

/// Why there are no keys to sign and verify with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system gave no randomness.
    #[error("no key could be made")]
    NotMade,
    /// The store holds no key that signs.
    #[error("there is no signing key")]
    NoneSigns,
}

/// Makes a key pair.
///
/// # Errors
/// The system gave no randomness.
pub fn generate_signing_key(now: Timestamp) -> Result<SigningKey, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NotMade)?;
    let private_key = pair.to_pkcs8v1().map_err(|_| KeyError::NotMade)?;
    let public_key = pair.public_key().as_ref().to_vec();
    Ok(SigningKey {
        id: thumbprint(&public_key),
        private_key: Zeroizing::new(private_key.as_ref().to_vec()),
        public_key,
        created_at: now,
        retired_at: None,
    })
}

/// The key's name: its thumbprint by RFC 7638, which anybody can make from the public half.
fn thumbprint(public_key: &[u8]) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, BASE64_URL_SAFE_NO_PAD.encode(public_key));
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

/// Whether `id` looks like the name of a key of ours, so that it is worth looking for.
pub(super) fn is_key_id(id: &str) -> bool {
    BASE64_URL_SAFE_NO_PAD.decode(id).is_ok_and(|bytes| bytes.len() == 32)
}

/// All keys as they were in the store at one time.
pub(super) struct KeySet {
    signing: (String, EncodingKey),
    verifying: Vec<VerifyingKey>,
}

struct VerifyingKey {
    id: String,
    key: DecodingKey,
    public_key: Vec<u8>,
    retired_at: Option<Timestamp>,
}

impl KeySet {
    /// The keys of a store, the one that signs first.
    pub(super) fn new(keys: &[SigningKey]) -> Result<Self, KeyError> {
        let signing = keys.iter().find(|key| key.retired_at.is_none()).ok_or(KeyError::NoneSigns)?;
        let verifying = keys.iter().map(|key| VerifyingKey {
            id: key.id.clone(),
            key: DecodingKey::from_ed_der(&key.public_key),
            public_key: key.public_key.clone(),
            retired_at: key.retired_at,
        });
        Ok(Self {
            signing: (signing.id.clone(), EncodingKey::from_ed_der(&signing.private_key)),
            verifying: verifying.collect(),
        })
    }

    /// The key that signs, with its id.
    pub(super) fn signing(&self) -> (&str, &EncodingKey) {
        (&self.signing.0, &self.signing.1)
    }

    /// The key of this id, if tokens of it may still be good.
    pub(super) fn verifying(&self, id: &str, now: Timestamp, lifetime_micros: i64) -> Option<&DecodingKey> {
        self.current(now, lifetime_micros).find(|key| key.id == id).map(|key| &key.key)
    }

    /// The ids of the keys whose tokens may still be good, the one that signs first.
    pub(super) fn ids(&self, now: Timestamp, lifetime_micros: i64) -> Vec<String> {
        self.current(now, lifetime_micros).map(|key| key.id.clone()).collect()
    }

    /// The public halves as a JSON Web Key Set (RFC 7517, RFC 8037).
    pub(super) fn jwks(&self, now: Timestamp, lifetime_micros: i64) -> String {
        let keys = self.current(now, lifetime_micros).map(|key| {
            serde_json::json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": BASE64_URL_SAFE_NO_PAD.encode(&key.public_key),
                "kid": key.id,
                "use": "sig",
                "alg": "EdDSA",
            })
        });
        serde_json::json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
    }

    fn current(&self, now: Timestamp, lifetime_micros: i64) -> impl Iterator<Item = &VerifyingKey> {
        let oldest = retired_before(now, lifetime_micros);
        self.verifying.iter().filter(move |key| key.retired_at.is_none_or(|retired| retired >= oldest))
    }
}

/// Keys that were retired before this moment have no tokens any more.
pub(super) fn retired_before(now: Timestamp, lifetime_micros: i64) -> Timestamp {
    Timestamp(now.0.saturating_sub(lifetime_micros).saturating_sub(GRACE_MICROS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let public_key = BASE64_URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&public_key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_retired_key_goes_when_its_last_token_has_ended() {
        let lifetime = 600_000_000;
        let [mut old, new] = [(); 2].map(|()| generate_signing_key(NOW).unwrap());
        old.retired_at = Some(NOW);
        let set = KeySet::new(&[new.clone(), old.clone()]).unwrap();
        let end = NOW.0 + lifetime + GRACE_MICROS;
        assert_eq!(set.ids(Timestamp(end), lifetime), [new.id.clone(), old.id.clone()]);
        assert_eq!(set.ids(Timestamp(end + 1), lifetime), [new.id]);
        assert!(set.verifying(&old.id, Timestamp(end + 1), lifetime).is_none());
        assert!(KeySet::new(&[old]).is_err_and(|error| error == KeyError::NoneSigns));
    }

    #[test]
    fn the_public_set_has_no_private_half() {
        let key = generate_signing_key(NOW).unwrap();
        let set: serde_json::Value =
            serde_json::from_str(&KeySet::new(std::slice::from_ref(&key)).unwrap().jwks(NOW, 0)).unwrap();
        let x = BASE64_URL_SAFE_NO_PAD.encode(&key.public_key);
        let expected = serde_json::json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key.id, "use": "sig", "alg": "EdDSA"}
        ]});
        assert_eq!(set, expected);
        assert!(!format!("{key:?}").contains("private_key"));
    }
}
