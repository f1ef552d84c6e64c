//! Access tokens over the wire: whoever has one is its user, and nothing else passes for one.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use prost::Message as _;
use roster_api::{
    admin::v1::{RotateSigningKeyRequest, admin_service_client::AdminServiceClient},
    user::v1::{DeactivateUserRequest, GetUserRequest, ReactivateUserRequest, Role, User},
};
use roster_server::{
    auth::{AccessTokens, TokenOptions, generate_signing_key},
    config::{Config, DatabaseUrl},
    model::{
        self, Actor, ChangeMeta, Clock as _, PermissionSet, SessionId, SystemClock, Timestamp, UserId, UserStatus,
    },
    store::{NewUser, SigningKey, SigningKeyStore as _, Store as _},
};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use uuid::Uuid;

use super::USERS;
use crate::harness::{Problem, Server, as_bearer, database_in, grpc, signed_in, store_in};

/// Paths of the methods about sign-in and API keys start with it.
pub const AUTH: &str = "/auth.v1.AuthService";
const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// A database with users, a session of each, and a token of each session.
pub struct Prepared {
    folder: TempDir,
    pub users: Vec<UserId>,
    sessions: Vec<SessionId>,
    pub tokens: Vec<String>,
    key: SigningKey,
}

impl Prepared {
    pub async fn new(wanted: &[(&str, Role)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemClock.now();
        let key = generate_signing_key(now).unwrap();
        let store = store_in(&folder);
        store.ensure_signing_key(key.clone()).await.unwrap();
        let mut users = Vec::new();
        for (name, role) in wanted {
            let user = model::User {
                id: UserId::generate(now),
                email: format!("{name}@example.com"),
                name: (*name).into(),
                username: String::new(),
                role: model::Role::from_number(*role as i32).unwrap(),
                status: UserStatus::Active,
                age: None,
                phone: String::new(),
                locale: String::new(),
                attributes: Default::default(),
                email_verified: false,
                created_at: now,
                updated_at: now,
                revision: 1,
            };
            let meta = ChangeMeta {
                at: now,
                actor: Actor::System,
                held: PermissionSet::ALL,
                request_id: "test".into(),
                remote_address: String::new(),
                validate_only: false,
                idempotency: None,
            };
            let created = store.create_user(NewUser { user, password_hash: None, mail: None }, meta).await.unwrap();
            users.push(created.user().unwrap().id);
        }
        store.close().await;
        let mut prepared = Self { folder, users, sessions: Vec::new(), tokens: Vec::new(), key };
        for (index, (_, role)) in wanted.iter().enumerate() {
            let id = prepared.add_session(index, now.0 + DAY_MICROS);
            prepared.sessions.push(id);
            let role = model::Role::from_number(*role as i32).unwrap();
            let issued = tokens_of(&prepared.key).issue(&prepared.users[index], id, role, now).unwrap();
            prepared.tokens.push(issued.token.into_string());
        }
        prepared
    }

    /// A session as sign-in would make it.
    fn add_session(&self, user: usize, expires_at: i64) -> SessionId {
        let id = SessionId(Uuid::now_v7());
        let inserted = self.sql(
            "INSERT INTO sessions SELECT ?1, pk, 'test', '', ?3, ?3, ?4, 0, x'00' FROM users WHERE id = ?2",
            params![&id.0.as_bytes()[..], self.blob(user), SystemClock.now().0, expires_at],
        );
        assert_eq!(inserted, 1);
        id
    }

    fn blob(&self, user: usize) -> Vec<u8> {
        let UserId::Uuid(uuid) = &self.users[user] else { panic!("not one of ours") };
        uuid.as_bytes().to_vec()
    }

    /// Changes the database as another node would.
    fn sql(&self, sql: &str, parameters: impl rusqlite::Params) -> usize {
        let connection = Connection::open(database_in(&self.folder)).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.execute(sql, parameters).unwrap()
    }

    pub fn serve(&self, set: impl FnOnce(&mut Config)) -> Server {
        Server::start(|config| {
            config.database_url = DatabaseUrl::Sqlite(database_in(&self.folder));
            set(config);
        })
    }

    fn claims(&self, user: usize) -> Value {
        let now = SystemClock.now().seconds();
        json!({
            "iss": "roster", "aud": "roster", "sub": self.users[user].to_string(),
            "sid": self.sessions[user].to_string(), "role": "USER", "iat": now, "exp": now + 600,
        })
    }

    fn sign(&self, claims: &Value) -> String {
        encode(&header(&self.key.id), claims, &EncodingKey::from_ed_der(&self.key.private_key)).unwrap()
    }
}

fn header(key_id: &str) -> Header {
    Header { typ: Some("at+jwt".into()), kid: Some(key_id.into()), ..Header::new(Algorithm::EdDSA) }
}

fn tokens_of(key: &SigningKey) -> AccessTokens {
    let options =
        TokenOptions { issuer: "roster".into(), audience: "roster".into(), lifetime: Duration::from_secs(600) };
    AccessTokens::new(options, std::slice::from_ref(key)).unwrap()
}

fn get(user: &UserId) -> Vec<u8> {
    GetUserRequest { user_id: user.to_string() }.encode_to_vec()
}

#[tokio::test]
async fn who_has_a_token_is_its_user() {
    let prepared = Prepared::new(&[("ada", Role::User), ("bea", Role::Admin)]).await;
    for dev in [true, false] {
        let server = prepared.serve(|config| config.dev = dev);
        let wire = server.wire().await;
        let [ada, bea] = [&prepared.tokens[0], &prepared.tokens[1]];
        // Twice: as what is new, and as what is known.
        for _ in 0..2 {
            let own: User = wire.call_as(ada, &format!("{USERS}/GetUser"), &get(&prepared.users[0])).await.message();
            assert_eq!(own.id, prepared.users[0].to_string());
            let foreign = wire.call_as(ada, &format!("{USERS}/GetUser"), &get(&prepared.users[1])).await.status();
            assert_eq!(Problem::of(&foreign).kind(), (Code::PermissionDenied, "PERMISSION_DENIED"));
            let list = wire.call_as(ada, &format!("{USERS}/ListUsers"), b"").await.status();
            assert_eq!(Problem::of(&list).metadata["permission"], "users.list");
            let other: User = wire.call_as(bea, &format!("{USERS}/GetUser"), &get(&prepared.users[0])).await.message();
            assert_eq!(other.id, own.id);
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn whatever_is_no_valid_token_gets_one_and_the_same_answer_everywhere() {
    let prepared = Prepared::new(&[("ada", Role::Admin), ("gone", Role::Admin)]).await;
    let good = prepared.claims(0);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        prepared.sign(&claims)
    };
    let now = SystemClock.now().seconds();
    let secret = EncodingKey::from_ed_der(&prepared.key.private_key);
    let hmac = EncodingKey::from_secret(&prepared.key.public_key);
    let hs256 = Header { alg: Algorithm::HS256, ..header(&prepared.key.id) };
    let real = &prepared.tokens[0];
    let (_, tail) = real.split_once('.').unwrap();
    let none = {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        BASE64_URL_SAFE_NO_PAD.encode(json!({"typ": "at+jwt", "alg": "none", "kid": prepared.key.id}).to_string())
    };
    let stranger = generate_signing_key(SystemClock.now()).unwrap();
    let ended = prepared.add_session(0, SystemClock.now().0);
    let strangers = EncodingKey::from_ed_der(&stranger.private_key);
    let forged = [
        encode(&hs256, &good, &hmac).unwrap(),
        format!("{none}.{tail}"),
        format!("{none}.{}.", tail.split_once('.').unwrap().0),
        encode(&header(&stranger.id), &good, &strangers).unwrap(),
        encode(&header(&prepared.key.id), &good, &strangers).unwrap(),
        encode(&Header { typ: Some("JWT".into()), ..header(&prepared.key.id) }, &good, &secret).unwrap(),
        with("iss", json!("someone")),
        with("aud", json!("someone")),
        with("exp", json!(now)),
        with("exp", json!(u64::MAX)),
        with("exp", json!((now + 600).to_string())),
        with("exp", json!(now as f64 + 600.5)),
        with("exp", json!(null)),
        with("iat", json!(now + 3_600)),
        with("nbf", json!(now + 3_600)),
        // Signed by us, and yet nobody's session: another user's, one that never was, one that has ended.
        with("sub", json!(prepared.users[1].to_string())),
        with("sub", json!("absent")),
        with("sid", json!(Uuid::now_v7().to_string())),
        with("sid", json!(ended.to_string())),
        real[..real.len() - 1].to_owned(),
        format!("{real}A"),
        "rr_AAAAAAAAAAAAAAAAAAAAAA".into(),
        "rk_AAAAAAAAAAAAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        "garbage".into(),
    ];
    prepared.sql("UPDATE users SET status = 2 WHERE id = ?1", [prepared.blob(1)]);
    let mut values: Vec<Vec<String>> = forged.iter().map(|token| vec![format!("Bearer {token}")]).collect();
    values.push(vec![format!("Bearer {}", prepared.tokens[1])]);
    values.push(vec![format!("Basic {real}")]);
    values.push(vec![real.clone()]);
    values.push(vec![String::new()]);
    values.push(vec![format!("Bearer {real}"), format!("Bearer {real}")]);

    // A server for development has no exception for them.
    for dev in [false, true] {
        let server = prepared.serve(|config| config.dev = dev);
        let wire = server.wire().await;
        assert_eq!(wire.call_as(real, &format!("{AUTH}/ListApiKeys"), b"").await.status().code(), Code::Ok);
        let mut answers = Vec::new();
        for value in &values {
            for path in [
                &format!("{AUTH}/ListApiKeys"),
                &format!("{USERS}/GetUser"),
                &format!("{USERS}/HealthCheck"),
                "/grpc.health.v1.Health/Check",
            ] {
                let mut request = grpc(path, b"");
                for value in value {
                    request.headers_mut().append("authorization", value.parse().unwrap());
                }
                let problem = Problem::of(&wire.send(request).await.status());
                assert_eq!(problem.kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"), "{value:?} {path}");
                answers.push((problem.message, problem.metadata, problem.violations, problem.told_id.is_some()));
            }
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_token_is_worth_what_its_user_may_do_now() {
    let prepared = Prepared::new(&[("root", Role::Admin), ("ada", Role::Moderator)]).await;
    let server = prepared.serve(|config| config.dev = false);
    let (wire, mut users) = (server.wire().await, server.users().await);
    let [root, ada] = [&prepared.tokens[0], &prepared.tokens[1]];
    let ada_id = prepared.users[1].to_string();
    let mut health = HealthClient::new(server.channel().await);
    let read = async || wire.call_as(ada, &format!("{USERS}/GetUser"), &get(&prepared.users[0])).await.status().code();
    let open = async |health: &mut HealthClient<_>| {
        let mut stream = health.watch(signed_in(HealthCheckRequest::default(), ada)).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        stream
    };
    assert_eq!(read().await, Code::Ok);
    let mut stream = open(&mut health).await;
    let demote = roster_api::user::v1::UpdateUserRequest {
        user_id: ada_id.clone(),
        role: Some(Role::User as i32),
        ..Default::default()
    };
    users.update_user(signed_in(demote, root)).await.unwrap();
    assert_eq!(read().await, Code::PermissionDenied);
    let cut = tokio::time::timeout(Duration::from_secs(1), stream.message()).await.unwrap().unwrap_err();
    assert_eq!(Problem::in_trailers(&cut).kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));

    let mut stream = open(&mut health).await;
    let request = DeactivateUserRequest { user_id: ada_id.clone(), ..Default::default() };
    users.deactivate_user(signed_in(request, root)).await.unwrap();
    assert_eq!(read().await, Code::Unauthenticated);
    assert!(tokio::time::timeout(Duration::from_secs(1), stream.message()).await.unwrap().is_err());
    let request = ReactivateUserRequest { user_id: ada_id, ..Default::default() };
    users.reactivate_user(signed_in(request, root)).await.unwrap();
    assert_eq!(read().await, Code::Unauthenticated, "the session has ended for good");
}

#[tokio::test]
async fn keys_rotate_and_the_old_ones_verify_until_their_tokens_end() {
    let prepared = Prepared::new(&[("ada", Role::Admin)]).await;
    let server = prepared.serve(|config| config.dev = false);
    let mut admin = AdminServiceClient::new(server.channel().await);
    let wire = server.wire().await;
    let token = &prepared.tokens[0];
    let is_good = async |token: &str| {
        wire.send(as_bearer(grpc(&format!("{AUTH}/ListApiKeys"), b""), token)).await.status().code() == Code::Ok
    };
    assert_eq!(
        admin.rotate_signing_key(Request::new(RotateSigningKeyRequest {})).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let rotated = admin.rotate_signing_key(signed_in(RotateSigningKeyRequest {}, token)).await.unwrap().into_inner();
    assert_eq!(rotated.verifying_key_ids, [rotated.key_id.clone(), prepared.key.id.clone()]);
    assert!(is_good(token).await);
    // Also one that was not seen before.
    assert!(is_good(&prepared.sign(&prepared.claims(0))).await);

    // Anybody verifies with what the HTTP port says.
    let answer = server.http_get("/.well-known/jwks.json").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/json") && head.contains("max-age=300"));
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(body).unwrap();
    let kids: Vec<_> = keys.keys.iter().map(|key| key.common.key_id.clone().unwrap()).collect();
    assert_eq!(kids, rotated.verifying_key_ids);
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["roster"]);
    validation.set_issuer(&["roster"]);
    let old = DecodingKey::from_jwk(keys.find(&prepared.key.id).unwrap()).unwrap();
    let read = decode::<Value>(token, &old, &validation).unwrap();
    assert_eq!((&read.claims["sub"], &read.claims["role"]), (&json!(prepared.users[0].to_string()), &json!("ADMIN")));

    // Another node over the same database rotates: its tokens are good here at once.
    let theirs = generate_signing_key(SystemClock.now()).unwrap();
    let now = SystemClock.now();
    prepared.sql("UPDATE signing_keys SET retired_at = ?1 WHERE retired_at IS NULL", [now.0]);
    prepared.sql(
        "INSERT INTO signing_keys VALUES (?1, ?2, ?3, ?4, NULL)",
        params![theirs.id, theirs.private_key.as_slice(), theirs.public_key, now.0],
    );
    let issued = tokens_of(&theirs).issue(&prepared.users[0], prepared.sessions[0], model::Role::Admin, now).unwrap();
    assert!(is_good(&issued.token.into_string()).await);
    let answer = server.http_get("/.well-known/jwks.json").await;
    assert!(answer.contains(&theirs.id) && !answer.contains("\"d\""));
}

#[tokio::test]
async fn a_session_that_was_prolonged_goes_on() {
    let prepared = Prepared::new(&[("ada", Role::Admin)]).await;
    let until = SystemClock.now().0 + 300_000;
    prepared.sql("UPDATE sessions SET expires_at = ?1", [until]);
    let server = prepared.serve(|config| config.dev = false);
    let wire = server.wire().await;
    let call = async || wire.call_as(&prepared.tokens[0], &format!("{AUTH}/ListApiKeys"), b"").await.status().code();
    assert_eq!(call().await, Code::Ok);
    while SystemClock.now() < Timestamp(until) {
        tokio::task::yield_now().await;
    }
    assert_eq!(call().await, Code::Unauthenticated);
    prepared.sql("UPDATE sessions SET expires_at = ?1", [until + DAY_MICROS]);
    assert_eq!(call().await, Code::Ok);
}
