//! Forged, tampered and confused tokens. Every one is made with the real key unless that is the point.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, crypto::sign};
use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Value, json};

use super::*;
use crate::auth::keys::generate_signing_key;

const NOW: Timestamp = Timestamp(1_767_225_600_500_000);
const SECONDS: i64 = 1_767_225_600;

fn setup() -> (AccessTokens, SigningKey) {
    let key = generate_signing_key(NOW).unwrap();
    let options = TokenOptions { issuer: "roster".into(), audience: "apps".into(), lifetime: Duration::from_secs(600) };
    (AccessTokens::new(options, std::slice::from_ref(&key)).unwrap(), key)
}

fn ids() -> (UserId, SessionId) {
    (UserId::parse("ada").unwrap(), SessionId::parse("01890a5d-ac96-774b-bcce-b302099a8057").unwrap())
}

fn issue(tokens: &AccessTokens) -> String {
    let (user_id, session_id) = ids();
    tokens.issue(&user_id, session_id, Role::Admin, NOW).unwrap().token.into_string()
}

/// A token of these parts, signed with the key as `alg` says.
fn forge(header: &Value, claims: &str, key: &EncodingKey, alg: Algorithm) -> String {
    let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", part(header.to_string().as_bytes()), part(claims.as_bytes()));
    let signature = sign(message.as_bytes(), key, alg).unwrap();
    format!("{message}.{signature}")
}

fn good_header(key: &SigningKey) -> Value {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": key.id})
}

fn good_claims() -> Value {
    let (user_id, session_id) = ids();
    json!({
        "iss": "roster", "aud": "apps", "sub": user_id.to_text(), "sid": session_id.to_string(), "role": "ADMIN",
        "iat": SECONDS, "exp": SECONDS + 600,
    })
}

#[test]
fn a_token_is_good_until_it_ends() {
    let (tokens, key) = setup();
    let (user_id, session_id) = ids();
    let issued = tokens.issue(&user_id, session_id, Role::Admin, NOW).unwrap();
    assert_eq!(issued.expires_at, Timestamp((SECONDS + 600) * 1_000_000));
    assert_eq!(format!("{:?}", issued.token), "AccessToken(redacted)");
    let token = issued.token.into_string();
    let verified = Verified { user_id, session_id, expires_at: issued.expires_at };
    for at in [NOW.0, issued.expires_at.0 - 1] {
        assert_eq!(tokens.verify(token.as_bytes(), Timestamp(at)), Ok(verified.clone()));
    }
    for at in [issued.expires_at.0, i64::MAX, 0, i64::MIN] {
        assert_eq!(tokens.verify(token.as_bytes(), Timestamp(at)), Err(TokenError::Invalid), "at {at}");
    }
    // What the forgeries below are made of is good where they leave it alone.
    let secret = EncodingKey::from_ed_der(&key.private_key);
    let same = forge(&good_header(&key), &good_claims().to_string(), &secret, Algorithm::EdDSA);
    assert_eq!(tokens.verify(same.as_bytes(), NOW), Ok(verified));
}

#[test]
fn no_other_header_passes() {
    let (tokens, key) = setup();
    let secret = EncodingKey::from_ed_der(&key.private_key);
    let kid = &key.id;
    for header in [
        json!({"typ": "JWT", "alg": "EdDSA", "kid": kid}),
        json!({"typ": "AT+JWT", "alg": "EdDSA", "kid": kid}),
        json!({"typ": "application/at+jwt", "alg": "EdDSA", "kid": kid}),
        json!({"alg": "EdDSA", "kid": kid}),
        json!({"typ": "at+jwt", "alg": "EdDSA"}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": null}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": 7}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid, "crit": ["exp"]}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid, "b64": false}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid, "jku": "https://example.com/keys"}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid, "zip": "DEF"}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "../../etc/passwd"}),
        // The right signature under another algorithm's name.
        json!({"typ": "at+jwt", "alg": "none", "kid": kid}),
        json!({"typ": "at+jwt", "alg": "None", "kid": kid}),
        json!({"typ": "at+jwt", "alg": "eddsa", "kid": kid}),
        json!({"typ": "at+jwt", "alg": "HS256", "kid": kid}),
        json!({"typ": "at+jwt", "alg": "ES256", "kid": kid}),
        json!({"typ": "at+jwt", "alg": ["EdDSA"], "kid": kid}),
    ] {
        let token = forge(&header, &good_claims().to_string(), &secret, Algorithm::EdDSA);
        assert_eq!(tokens.verify(token.as_bytes(), NOW), Err(TokenError::Invalid), "{header}");
    }
}

#[test]
fn no_signature_but_that_of_the_key_passes() {
    let (tokens, key) = setup();
    let claims = good_claims().to_string();
    let public = EncodingKey::from_secret(&key.public_key);
    let hs256 = json!({"typ": "at+jwt", "alg": "HS256", "kid": key.id});
    let stranger = generate_signing_key(NOW).unwrap();
    let strangers = EncodingKey::from_ed_der(&stranger.private_key);
    let real = issue(&tokens);
    let (message, signature) = real.rsplit_once('.').unwrap();
    let none = BASE64_URL_SAFE_NO_PAD.encode(json!({"typ": "at+jwt", "alg": "none", "kid": key.id}).to_string());
    let payload = message.split_once('.').unwrap().1;
    for token in [
        forge(&hs256, &claims, &public, Algorithm::HS256),
        forge(&good_header(&key), &claims, &public, Algorithm::HS256),
        forge(&good_header(&key), &claims, &strangers, Algorithm::EdDSA),
        format!("{message}."),
        message.to_owned(),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{real}="),
        format!("{real}."),
        format!(".{real}"),
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 64])),
        String::new(),
        "..".into(),
        ".".repeat(4_000),
    ] {
        assert_eq!(tokens.verify(token.as_bytes(), NOW), Err(TokenError::Invalid), "{token}");
    }
    // A key that is not here may be another node's; that is for the store to say.
    let unknown = forge(&good_header(&stranger), &claims, &strangers, Algorithm::EdDSA);
    assert_eq!(tokens.verify(unknown.as_bytes(), NOW), Err(TokenError::UnknownKey));
    tokens.set_keys(&[stranger, SigningKey { retired_at: Some(NOW), ..key }]).unwrap();
    assert!(tokens.verify(unknown.as_bytes(), NOW).is_ok());
    assert!(tokens.verify(real.as_bytes(), NOW).is_ok(), "a retired key verifies until its tokens end");
}

#[test]
fn claims_have_their_types_and_values_and_no_others() {
    let (tokens, key) = setup();
    let secret = EncodingKey::from_ed_der(&key.private_key);
    let header = good_header(&key);
    let refused = |claims: &str| {
        let token = forge(&header, claims, &secret, Algorithm::EdDSA);
        assert_eq!(tokens.verify(token.as_bytes(), NOW), Err(TokenError::Invalid), "{claims}");
    };
    for name in ["iss", "aud", "sub", "sid", "role", "iat", "exp"] {
        let mut without = good_claims();
        without.as_object_mut().unwrap().remove(name);
        refused(&without.to_string());
        for value in [json!(null), json!(true), json!([]), json!({}), json!("-1e9"), json!(""), json!(1.5), json!(-1)] {
            // Any text is a role: who reads the token elsewhere decides what it is worth there.
            if name == "role" && value.is_string() {
                continue;
            }
            let mut claims = good_claims();
            claims[name] = value;
            refused(&claims.to_string());
        }
        let twice = good_claims().to_string().replacen('{', &format!("{{\"{name}\":{},", good_claims()[name]), 1);
        refused(&twice);
    }
    for (name, value) in [
        ("iss", json!("Roster")),
        ("iss", json!(["roster"])),
        ("aud", json!(["apps"])),
        ("aud", json!("apps ")),
        ("sub", json!("not an id")),
        ("sid", json!("7")),
        ("exp", json!(SECONDS)),
        ("exp", json!(SECONDS as f64 + 600.0)),
        ("exp", json!((SECONDS + 600).to_string())),
        ("exp", json!(SECONDS + 24 * 3_600 + 1)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(1e300)),
        ("iat", json!(SECONDS + 61)),
        ("iat", json!(SECONDS + 600)),
        ("iat", json!(i64::MIN)),
        ("nbf", json!(0)),
        ("nbf", json!(SECONDS + 3_600)),
    ] {
        let mut claims = good_claims();
        claims[name] = value;
        refused(&claims.to_string());
    }
    let nested = "[".repeat(10_000);
    for claims in ["", "null", "[]", "{}", "{\"exp\":", nested.as_str()] {
        refused(claims);
    }
}

#[test]
fn no_byte_of_a_token_can_be_changed_and_no_part_left_out() {
    let (tokens, _) = setup();
    let token = issue(&tokens).into_bytes();
    for at in 0..token.len() {
        for change in [1, 2, 0x20, 0x80] {
            let mut tampered = token.clone();
            tampered[at] ^= change;
            assert!(tokens.verify(&tampered, NOW).is_err(), "byte {at} changed by {change}");
        }
        assert_eq!(tokens.verify(&token[..at], NOW), Err(TokenError::Invalid), "{at} bytes of it");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_no_token_passes(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        "[A-Za-z0-9_-]{0,120}\\.[A-Za-z0-9_-]{0,200}\\.[A-Za-z0-9_-]{0,90}".prop_map(String::into_bytes),
        "eyJ[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_=+/-]{0,60}){0,5}".prop_map(String::into_bytes),
    ]) {
        static TOKENS: LazyLock<AccessTokens> = LazyLock::new(|| setup().0);
        prop_assert_eq!(TOKENS.verify(&bytes, NOW), Err(TokenError::Invalid));
    }
}
