//! API keys over the wire: made by who may, good for what they were given, and gone at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use prost::Message as _;
use roster_api::{
    auth::v1::{ApiKey, CreateApiKeyRequest, ListApiKeysRequest, RevokeApiKeyRequest},
    user::v1::{
        DeactivateUserRequest, DeleteUserRequest, GetUserRequest, ReactivateUserRequest, Role, UpdateUserRequest, User,
    },
};
use roster_server::{
    config::DatabaseUrl,
    store::{ApiKeyStore as _, Store as _},
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::tokens::{AUTH, Prepared};
use crate::harness::{Problem, Server, create_all, database_in, problem, signed_in, store_in};

fn request(name: &str, scopes: &[&str]) -> CreateApiKeyRequest {
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    let api_key = Some(ApiKey { name: name.into(), scopes, ..Default::default() });
    CreateApiKeyRequest { api_key, validate_only: false }
}

/// The id of a key that the server's developer makes, and the key.
pub async fn create_key(server: &Server, scopes: &[&str]) -> (String, String) {
    let created = server.auth().await.create_api_key(request("test", scopes)).await.unwrap().into_inner();
    (created.api_key.unwrap().id, created.secret)
}

fn get(user: &User) -> Vec<u8> {
    GetUserRequest { user_id: user.id.clone() }.encode_to_vec()
}

#[tokio::test]
async fn a_key_does_what_it_was_given_on_any_server_of_the_database() {
    let server = Server::dev();
    let user = create_all(&mut server.users().await, &["ada"]).await.remove(0);
    let (id, key) = create_key(&server, &["users.read", "api_keys.read"]).await;
    let listed = server.auth().await.list_api_keys(ListApiKeysRequest::default()).await.unwrap().into_inner();
    let [shown] = listed.api_keys.as_slice() else { panic!("{listed:?}") };
    assert_eq!((shown.id.as_str(), shown.name.as_str(), shown.created_by.as_str()), (id.as_str(), "test", ""));
    assert_eq!(shown.scopes, ["users.read", "api_keys.read"]);
    assert!(key.starts_with(&shown.prefix) && shown.prefix.len() == 12 && key.starts_with("rk_"));
    assert_eq!(shown.last_used_at, None);

    // On a server for development too, who shows a key has the key's rights and no others.
    let (_, folder) = server.stop().await;
    for dev in [true, false] {
        let server = Server::start(|config| {
            config.database_url = DatabaseUrl::Sqlite(database_in(&folder));
            config.dev = dev;
        });
        let wire = server.wire().await;
        let read = wire.call_as(&key, "/user.v1.UserService/GetUser", &get(&user)).await;
        assert_eq!(read.message::<User>(), user);
        let refused = wire.call_as(&key, "/user.v1.UserService/ListUsers", b"").await.status();
        let refused = Problem::of(&refused);
        assert_eq!(refused.kind(), (Code::PermissionDenied, "PERMISSION_DENIED"));
        assert_eq!(refused.metadata["permission"], "users.list");
        // What only a user has.
        let sign_out = wire.call_as(&key, "/auth.v1.AuthService/SignOut", b"").await.status();
        assert_eq!(Problem::of(&sign_out).kind(), (Code::FailedPrecondition, "NO_SESSION"));
        let without = wire.call("/user.v1.UserService/GetUser", &get(&user)).await.status();
        assert_eq!(without.code(), if dev { Code::Ok } else { Code::Unauthenticated });
        server.stop().await;
    }
    // The stop has handed on what was in memory.
    let store = store_in(&folder);
    let keys = store.list_api_keys(None, 10).await.unwrap();
    assert!(keys[0].last_used_at > Some(keys[0].created_at));
    store.close().await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_key_is_told() {
    let server = Server::dev();
    let mut auth = server.auth().await;
    let past = prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 };
    let all_wrong = |scopes: Vec<String>, expires_at| CreateApiKeyRequest {
        api_key: Some(ApiKey { name: "a\nb".into(), scopes, expires_at: Some(expires_at), ..Default::default() }),
        validate_only: false,
    };
    let refused = problem(auth.create_api_key(all_wrong(vec!["users.fly".into()], past)).await);
    assert_eq!(refused.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"));
    assert_eq!(refused.fields(), ["api_key.name", "api_key.scopes", "api_key.expires_at"]);
    let scopes = &refused.violations[1].1;
    assert!(scopes.contains("\"users.fly\"") && scopes.contains("users.read") && scopes.contains("keys.rotate"));
    for (scopes, expires_at) in [
        (vec![], prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
        (vec!["users.read".into(); 65], prost_types::Timestamp { seconds: 4_000_000_000, nanos: -1 }),
    ] {
        assert_eq!(problem(auth.create_api_key(all_wrong(scopes, expires_at)).await).fields().len(), 3);
    }
    assert_eq!(problem(auth.create_api_key(CreateApiKeyRequest::default()).await).fields(), ["api_key"]);
    for name in ["", &"n".repeat(101)] {
        assert_eq!(problem(auth.create_api_key(request(name, &["users.read"])).await).fields(), ["api_key.name"]);
    }

    let dry = CreateApiKeyRequest { validate_only: true, ..request("dry", &["users.read"]) };
    let checked = auth.create_api_key(dry).await.unwrap().into_inner();
    assert_eq!((checked.secret.as_str(), checked.api_key.unwrap().name.as_str()), ("", "dry"));
    let all = ListApiKeysRequest { page_size: 1, ..Default::default() };
    assert!(auth.list_api_keys(all.clone()).await.unwrap().into_inner().api_keys.is_empty());

    let revoke = |id: &str| RevokeApiKeyRequest { api_key_id: id.into() };
    for bad in ["", "7", "rk_"] {
        assert_eq!(problem(auth.revoke_api_key(revoke(bad)).await).fields(), ["api_key_id"]);
    }
    let absent = problem(auth.revoke_api_key(revoke("01890a5d-ac96-774b-bcce-b302099a8057")).await);
    assert_eq!(absent.kind(), (Code::NotFound, "API_KEY_NOT_FOUND"));
    assert_eq!(absent.resource.unwrap().0, "auth.v1.ApiKey");

    let mut made = Vec::new();
    for _ in 0..3 {
        made.insert(0, create_key(&server, &["users.read"]).await.0);
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = ListApiKeysRequest { page_token, ..all.clone() };
        let page = auth.list_api_keys(page).await.unwrap().into_inner();
        seen.extend(page.api_keys.into_iter().map(|key| key.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    for (page_size, page_token, field) in [(-1, "", "page_size"), (1, "~garbage", "page_token")] {
        let bad = ListApiKeysRequest { page_size, page_token: page_token.into() };
        assert_eq!(problem(auth.list_api_keys(bad).await).fields(), [field]);
    }
}

#[tokio::test]
async fn nobody_gives_what_they_lack_and_a_key_lasts_no_longer_than_its_makers_role() {
    let prepared = Prepared::new(&[("root", Role::Admin), ("ada", Role::Admin), ("bea", Role::Moderator)]).await;
    let server = prepared.serve(|config| config.dev = false);
    let mut auth = server.auth().await;
    let (root, ada) = (&prepared.tokens[0], &prepared.tokens[1]);
    let wanted = request("service", &["users.read", "users.delete", "api_keys.write"]);
    assert_eq!(
        problem(auth.create_api_key(signed_in(wanted.clone(), &prepared.tokens[2])).await).code,
        Code::PermissionDenied
    );
    let created = auth.create_api_key(signed_in(wanted, ada)).await.unwrap().into_inner();
    assert_eq!(created.api_key.as_ref().unwrap().created_by, prepared.users[1].to_string());
    let key = created.secret;

    // A key gives on what it has, in the name of who made it.
    let more = problem(auth.create_api_key(signed_in(request("more", &["users.read", "users.list"]), &key)).await);
    assert_eq!((more.reason.as_str(), more.metadata["permission"].as_str()), ("PERMISSION_DENIED", "users.list"));
    let child = auth.create_api_key(signed_in(request("child", &["users.delete"]), &key)).await.unwrap().into_inner();
    assert_eq!(child.api_key.unwrap().created_by, prepared.users[1].to_string());

    let wire = server.wire().await;
    let absent = DeleteUserRequest { user_id: "absent".into(), ..Default::default() }.encode_to_vec();
    let mut outcomes = Vec::new();
    let mut users = server.users().await;
    let ada_id = prepared.users[1].to_string();
    for step in 0..5 {
        let role =
            |role: Role| UpdateUserRequest { user_id: ada_id.clone(), role: Some(role as i32), ..Default::default() };
        match step {
            0 => {}
            1 => drop(users.update_user(signed_in(role(Role::Moderator), root)).await.unwrap()),
            2 => {
                let request = DeactivateUserRequest { user_id: ada_id.clone(), ..Default::default() };
                users.deactivate_user(signed_in(request, root)).await.unwrap();
            }
            3 => {
                users.update_user(signed_in(role(Role::Admin), root)).await.unwrap();
                let request = ReactivateUserRequest { user_id: ada_id.clone(), ..Default::default() };
                users.reactivate_user(signed_in(request, root)).await.unwrap();
            }
            _ => {
                let request = DeleteUserRequest { user_id: ada_id.clone(), ..Default::default() };
                users.delete_user(signed_in(request, root)).await.unwrap();
            }
        }
        for secret in [&key, &child.secret] {
            outcomes.push(wire.call_as(secret, "/user.v1.UserService/DeleteUser", &absent).await.status().code());
        }
    }
    use Code::{NotFound, PermissionDenied, Unauthenticated};
    let each = [NotFound, PermissionDenied, Unauthenticated, NotFound, Unauthenticated];
    assert_eq!(outcomes, each.iter().flat_map(|code| [*code, *code]).collect::<Vec<_>>());
}

#[tokio::test]
pub(super) async fn a_revoked_key_is_refused_at_once_whatever_is_under_way() {
    const CALLERS: usize = 8;
    let server = Server::start(|config| config.verified_tokens_max = 64);
    let user = create_all(&mut server.users().await, &["ada"]).await.remove(0);
    for _ in 0..10 {
        let (id, key) = create_key(&server, &["users.read"]).await;
        let (revoked, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut callers = Vec::new();
        for _ in 0..CALLERS {
            let (wire, key, message) = (server.wire().await, key.clone(), get(&user));
            let (revoked, calls) = (Arc::clone(&revoked), Arc::clone(&calls));
            callers.push(tokio::spawn(async move {
                loop {
                    let knew = revoked.load(SeqCst);
                    let code = wire.call_as(&key, "/user.v1.UserService/GetUser", &message).await.status().code();
                    calls.fetch_add(1, SeqCst);
                    if knew {
                        // Begun after the answer to the revocation.
                        assert_eq!(code, Code::Unauthenticated);
                        return;
                    }
                    assert!([Code::Ok, Code::Unauthenticated].contains(&code));
                }
            }));
        }
        while calls.load(SeqCst) < 20 * CALLERS as u64 {
            tokio::task::yield_now().await;
        }
        server.auth().await.revoke_api_key(RevokeApiKeyRequest { api_key_id: id }).await.unwrap();
        revoked.store(true, SeqCst);
        for caller in callers {
            caller.await.unwrap();
        }
    }
}

#[tokio::test]
pub(super) async fn an_open_stream_ends_with_its_key() {
    let server = Server::dev();
    let (id, revoked) = create_key(&server, &["users.read"]).await;
    let (_, standing) = create_key(&server, &["users.read"]).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let soon = prost_types::Timestamp { seconds: now.as_secs().cast_signed() + 2, nanos: 0 };
    let brief = CreateApiKeyRequest {
        api_key: Some(ApiKey { expires_at: Some(soon), ..request("brief", &["users.read"]).api_key.unwrap() }),
        validate_only: false,
    };
    let expiring = server.auth().await.create_api_key(brief).await.unwrap().into_inner().secret;

    let mut streams = Vec::new();
    for key in [&revoked, &standing, &expiring] {
        let mut health = HealthClient::new(server.channel().await);
        let watch = signed_in(HealthCheckRequest::default(), key);
        let mut stream = health.watch(watch).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        streams.push(stream);
    }
    let second = Duration::from_secs(1);
    server.auth().await.revoke_api_key(RevokeApiKeyRequest { api_key_id: id }).await.unwrap();
    let ended = tokio::time::timeout(second, streams[0].message()).await.unwrap().unwrap_err();
    assert_eq!(Problem::in_trailers(&ended).kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    // By the clock, a second or two from now.
    let ended = streams[2].message().await.unwrap_err();
    assert_eq!(Problem::in_trailers(&ended).kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    let again = server.wire().await.call_as(&expiring, &format!("{AUTH}/ListApiKeys"), b"").await.status();
    assert_eq!(Problem::of(&again).kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    // The other is open still: it hears of the drain.
    server.shutdown();
    assert!(streams[1].message().await.unwrap().is_some(), "NOT_SERVING");
    let ended = streams[1].message().await.unwrap_err();
    assert_eq!(Problem::in_trailers(&ended).reason, "SHUTTING_DOWN");
}
