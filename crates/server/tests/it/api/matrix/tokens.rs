//! Credentials that are not good, each wrong in one way alone.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roster_api::{
    auth::v1::{SignOutRequest, auth_service_client::AuthServiceClient},
    user::v1::{DeactivateUserRequest, DeleteUserRequest},
};
use serde_json::{Value, json};

use super::cast::{Cast, authorized, open};

/// What a forger who has the server's own key could make of a good token.
type Forgery = fn(&mut Value);

/// Every kind of credentials that must be refused, by what is wrong with it.
pub async fn bad(cast: &Cast) -> BTreeMap<&'static str, String> {
    let mut all = ended(cast).await;
    let (access, refresh) = cast.tokens_of("Ada").await;
    let key = cast.any_key();
    all.extend([
        ("nothing", String::new()),
        ("garbage", "garbage".into()),
        ("a refresh token", refresh),
        ("a key cut short", key[..key.len() - 1].into()),
        ("a key with another end", format!("{}A", &key[..key.len() - 2])),
        ("a token cut short", access[..access.len() - 1].into()),
        ("a token without its signature", access.rsplit_once('.').unwrap().0.to_owned() + "."),
    ]);
    let forge = Forge::of(cast, &access);
    // The forger's own work is good as long as nothing is wrong with it, or the rest would prove nothing.
    assert_eq!(forge.with(|_| ()), forge.with(|_| ()));
    let forgeries: [(&'static str, Forgery); 13] = [
        ("a token that has ended", |c| c["exp"] = json!(c["iat"].as_i64().unwrap() - 1)),
        ("a token of the future", |c| c["iat"] = json!(c["iat"].as_i64().unwrap() + 86_400)),
        ("another audience", |c| c["aud"] = json!("somebody else")),
        ("another issuer", |c| c["iss"] = json!("somebody else")),
        ("no audience", |c| drop(c.as_object_mut().unwrap().remove("aud"))),
        ("another user", |c| c["sub"] = json!("root")),
        ("no user", |c| c["sub"] = Value::Null),
        ("a session that is none", |c| c["sid"] = json!("00000000-0000-7000-8000-000000000000")),
        ("an end in words", |c| c["exp"] = json!("9999999999")),
        ("an end in parts", |c| c["exp"] = json!(9999999999.5)),
        ("an end beyond all numbers", |c| c["exp"] = json!(1e300)),
        ("no end", |c| drop(c.as_object_mut().unwrap().remove("exp"))),
        ("a user who is a number", |c| c["sub"] = json!(7)),
    ];
    all.extend(forgeries.map(|(what, change)| (what, forge.with(change))));
    all.extend(forge.with_other_headers());
    all
}

/// Tokens that were good and were ended.
async fn ended(cast: &Cast) -> BTreeMap<&'static str, String> {
    let admin = cast.token("an administrator");
    let mut users = cast.server.users().await;
    let dean = DeactivateUserRequest { user_id: "dean".into(), ..Default::default() };
    users.deactivate_user(authorized(dean, admin)).await.unwrap();
    let dave = DeleteUserRequest { user_id: "dave".into(), ..Default::default() };
    users.delete_user(authorized(dave, admin)).await.unwrap();
    let signed_out = cast.sign_in("another user").await;
    let mut auth = AuthServiceClient::new(cast.server.channel().await);
    auth.sign_out(authorized(SignOutRequest {}, &signed_out)).await.unwrap();
    BTreeMap::from([
        ("a deactivated user", cast.token("deactivated").to_owned()),
        ("a deleted user", cast.token("deleted").to_owned()),
        ("a session that was signed out", signed_out),
    ])
}

/// Signs whatever it is told with the server's own key.
struct Forge {
    header: Header,
    claims: Value,
    key: EncodingKey,
    public_key: Vec<u8>,
}

impl Forge {
    fn of(cast: &Cast, token: &str) -> Self {
        let part = |index| serde_json::from_slice(&BASE64.decode(token.split('.').nth(index).unwrap()).unwrap());
        let sql = "SELECT private_key, public_key FROM signing_keys WHERE retired_at IS NULL";
        let (private_key, public_key): (Vec<u8>, Vec<u8>) =
            open(cast).query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let header: Value = part(0).unwrap();
        let header = serde_json::from_value(header).unwrap();
        Self { header, claims: part(1).unwrap(), key: EncodingKey::from_ed_der(&private_key), public_key }
    }

    fn with(&self, change: impl Fn(&mut Value)) -> String {
        let mut claims = self.claims.clone();
        change(&mut claims);
        encode(&self.header, &claims, &self.key).unwrap()
    }

    fn with_other_headers(&self) -> Vec<(&'static str, String)> {
        let signed = |header: &Header, key: &EncodingKey| encode(header, &self.claims, key).unwrap();
        let hs256 = Header { alg: Algorithm::HS256, ..self.header.clone() };
        let body = BASE64.encode(self.claims.to_string());
        let none = |alg: &str| {
            let header = json!({ "typ": self.header.typ, "alg": alg, "kid": self.header.kid });
            format!("{}.{body}.", BASE64.encode(header.to_string()))
        };
        vec![
            ("the public key as a secret", signed(&hs256, &EncodingKey::from_secret(&self.public_key))),
            ("no algorithm", none("none")),
            ("no algorithm, in capitals", none("NONE")),
            ("another type", signed(&Header { typ: Some("JWT".into()), ..self.header.clone() }, &self.key)),
            ("an unknown key", signed(&Header { kid: Some("other".into()), ..self.header.clone() }, &self.key)),
            ("no key", signed(&Header { kid: None, ..self.header.clone() }, &self.key)),
        ]
    }
}
