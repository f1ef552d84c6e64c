//! Calls that come twice: the same answer, and nothing is done twice.

mod cases;

use bytes::Bytes;
use http::{HeaderValue, Request};
use prost::Message as _;
use roster_api::{
    access::{METHODS, RateClass, streams},
    auth::v1::{RefreshTokenRequest, SignOutRequest},
    user::v1::{
        ChangePasswordRequest, CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest,
        UpdateUserRequest, User,
    },
};
use roster_server::rpc::SERVED;
use tokio::task::JoinSet;
use tonic::Code;

use self::cases::Stage;
use super::{
    USERS,
    sign_in::{PASSWORD, looked_at, request as sign_in_request, sign_in, sign_up},
};
use crate::harness::{Answer, Problem, Server, as_bearer, everything, grpc, problem, signed_in, with_email};

/// The metadata.
const KEY: &str = "idempotency-key";
/// Without it, the session that a call is made with is over, and nobody can be told its answer.
const ENDS_ITS_CALLER: &str = "/auth.v1.AuthService/SignOut";
/// Services whose calls change nothing that is stored.
const OF_THE_MOMENT: [&str; 2] = ["notification.v1.NotificationService", "NotificationService"];

/// A call with a key.
fn keyed(path: &str, message: &[u8], key: &str, token: Option<&str>) -> Request<Bytes> {
    let mut request = grpc(path, message);
    request.headers_mut().insert(KEY, HeaderValue::from_str(key).unwrap());
    match token {
        Some(token) => as_bearer(request, token),
        None => request,
    }
}

fn with_key<T>(message: T, key: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert(KEY, key.parse().unwrap());
    request
}

fn assert_key_reused(answer: &Answer, what: &str) {
    let problem = Problem::of(&answer.status());
    assert_eq!(problem.kind(), (Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED"), "{what}");
    assert_eq!(problem.fields(), [KEY], "{what}");
}

/// How many rows the change log of a server that runs has.
fn logged(server: &Server) -> i64 {
    server.number("SELECT count(*) FROM changes")
}

#[tokio::test]
async fn every_call_that_changes_something_is_done_once_and_answered_alike() {
    let mut stage = Stage::set().await;
    let wire = stage.server.wire().await;
    let unary = METHODS.iter().filter(|method| {
        let (service, name) = method.path[1..].split_once('/').unwrap();
        !streams(service, name)
            && method.rate_class != RateClass::Read
            && SERVED.contains(&service)
            && !OF_THE_MOMENT.contains(&service)
            && method.path != ENDS_ITS_CALLER
    });
    for method in unary {
        let path = method.path;
        let case = stage.case(path).await.unwrap_or_else(|| panic!("{path} has no case"));
        let key = format!("key-of{path}");
        let before = logged(&stage.server);
        let first = wire.send(keyed(path, &case.request, &key, case.caller.as_deref())).await;
        assert_eq!(first.status().code(), Code::Ok, "{path}: {:?}", first.status());
        assert_eq!(logged(&stage.server) - before, case.logged, "{path}");
        let again = stage.caller_of_retry(&case).await;
        let before = logged(&stage.server);
        let second = wire.send(keyed(path, &case.request, &key, again.as_deref())).await;
        assert_eq!(second.status().code(), Code::Ok, "{path}: {:?}", second.status());
        assert_eq!(second.body, first.body, "{path}");
        assert!(!first.body.is_empty(), "{path}");
        if let Some(other) = &case.other {
            assert_key_reused(&wire.send(keyed(path, other, &key, again.as_deref())).await, path);
        }
        assert_eq!(logged(&stage.server), before, "{path} was done again");
        if path.ends_with("SendVerificationEmail") || path.ends_with("RequestPasswordReset") {
            stage.catcher.next().await;
        }
    }
    assert!(stage.catcher.is_empty(), "a mail came twice");
}

#[tokio::test]
pub(super) async fn of_a_hundred_parallel_calls_one_is_done_and_all_have_its_answer() {
    let server = Server::start(|config| config.dev = false);
    let request = CreateUserRequest { password: PASSWORD.into(), ..with_email("ada@example.com") };
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let (mut users, request) = (server.users().await, with_key(request.clone(), "sign-up"));
        calls.spawn(async move { users.create_user(request).await.unwrap().into_inner() });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|user| *user == answers[0]));
    assert_eq!(logged(&server), 1);

    // A session that 100 calls begin is one, and one that 100 calls renew goes on.
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (mut auth, request) =
            (server.auth().await, with_key(sign_in_request("ada@example.com", PASSWORD), "sign-in"));
        calls.spawn(async move { auth.sign_in(request).await.unwrap().into_inner() });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|signed_in| *signed_in == answers[0]));
    let (user_id, tokens) = (answers[0].user_id.clone(), answers[0].tokens.clone().unwrap());
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let message = RefreshTokenRequest { refresh_token: tokens.refresh_token.clone() };
        let (mut auth, request) = (server.auth().await, with_key(message, "refresh"));
        calls.spawn(async move { auth.refresh_token(request).await.unwrap().into_inner() });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|renewed| *renewed == answers[0]));
    let renewed = answers[0].tokens.clone().unwrap();
    server.users().await.get_user(signed_in(GetUserRequest { user_id }, &renewed.access_token)).await.unwrap();
    assert_eq!(logged(&server), 2, "sign-up and sign-in");
}

#[tokio::test]
pub(super) async fn a_restart_between_changes_nothing() {
    let server = Server::dev();
    let request = CreateUserRequest { password: PASSWORD.into(), ..with_email("ada@example.com") };
    let first = server.users().await.create_user(with_key(request.clone(), "k")).await.unwrap().into_inner();
    let (_, folder) = server.stop().await;
    let server = Server::start_in(folder, |_| ());
    let second = server.users().await.create_user(with_key(request, "k")).await.unwrap().into_inner();
    assert_eq!(second, first);
    assert_eq!(logged(&server), 1);
}

#[tokio::test]
async fn nobody_gets_the_answer_to_another_caller() {
    let server = Server::start(|config| config.dev = false);
    let wire = server.wire().await;
    for name in ["ada", "bea"] {
        sign_up(&server, name).await;
    }
    let mut answers = Vec::new();
    for name in ["ada", "bea"] {
        let signed_in = sign_in(&mut server.auth().await, name, PASSWORD).await.unwrap();
        let token = signed_in.tokens.unwrap().access_token;
        let request = UpdateUserRequest { user_id: signed_in.user_id, name: Some(name.into()), ..Default::default() };
        let path = format!("{USERS}/UpdateUser");
        let answer = wire.send(keyed(&path, &request.encode_to_vec(), "1", Some(&token))).await;
        answers.push(answer.message::<User>().name);
        // The same key is another one for another method, and in the next session it is the same one.
        let again = sign_in(&mut server.auth().await, name, PASSWORD).await.unwrap().tokens.unwrap().access_token;
        let preferences = roster_api::user::v1::UpdatePreferencesRequest {
            user_id: request.user_id.clone(),
            preferences: Some(roster_api::user::v1::Preferences { language: "de".into(), ..Default::default() }),
            ..Default::default()
        };
        let path_of_other = format!("{USERS}/UpdatePreferences");
        let other = wire.send(keyed(&path_of_other, &preferences.encode_to_vec(), "1", Some(&token))).await;
        assert_eq!(other.status().code(), Code::Ok);
        let renamed = UpdateUserRequest { name: Some("x".into()), ..request };
        assert_key_reused(&wire.send(keyed(&path, &renamed.encode_to_vec(), "1", Some(&again))).await, name);
    }
    assert_eq!(answers, ["ada", "bea"]);
}

#[tokio::test]
async fn what_is_about_a_deleted_user_is_gone_and_not_done_again() {
    let server = Server::dev();
    let mut users = server.users().await;
    let request = CreateUserRequest { name: "Forgotten Person".into(), ..with_email("gone@example.com") };
    let user = users.create_user(with_key(request.clone(), "create")).await.unwrap().into_inner();
    let delete = DeleteUserRequest { user_id: user.id, ..Default::default() };
    for _ in 0..2 {
        users.delete_user(with_key(delete.clone(), "delete")).await.unwrap();
    }
    let refused = problem(users.create_user(with_key(request, "create")).await);
    assert_eq!(refused.kind(), (Code::FailedPrecondition, "IDEMPOTENT_ANSWER_DELETED"));
    assert_eq!(everything(&mut users).await, []);
}

#[tokio::test]
async fn what_is_kept_cannot_be_read_without_the_key() {
    let server = Server::dev();
    sign_up(&server, "ada").await;
    let request = with_key(sign_in_request("ada", PASSWORD), "a-key-of-ada");
    let tokens = server.auth().await.sign_in(request).await.unwrap().into_inner().tokens.unwrap();
    let (_, folder) = server.stop().await;
    let bytes = std::fs::read(folder.path().join("roster.db")).unwrap();
    for secret in ["a-key-of-ada", PASSWORD, &tokens.refresh_token, &tokens.access_token] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn what_failed_or_was_only_checked_is_not_kept() {
    let server = Server::dev();
    let mut users = server.users().await;
    let check = CreateUserRequest { validate_only: true, ..with_email("ada@example.com") };
    for _ in 0..2 {
        users.create_user(with_key(check.clone(), "k")).await.unwrap();
    }
    let bad = with_email("no address");
    assert_eq!(problem(users.create_user(with_key(bad, "k")).await).fields(), ["email"]);
    let ada = users.create_user(with_key(with_email("ada@example.com"), "k")).await.unwrap().into_inner();
    // To check is no retry of what was done.
    assert_eq!(problem(users.create_user(with_key(check, "k")).await).reason, "EMAIL_TAKEN");
    let taken = with_email("ada@example.com");
    assert_eq!(problem(users.create_user(with_key(taken, "another")).await).reason, "EMAIL_TAKEN");
    users.delete_user(DeleteUserRequest { user_id: ada.id, ..Default::default() }).await.unwrap();
    users.create_user(with_key(with_email("ada@example.com"), "another")).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_where_it_counts() {
    let server = Server::dev();
    let wire = server.wire().await;
    let create = with_email("ada@example.com").encode_to_vec();
    let path = format!("{USERS}/CreateUser");
    let send = async |path: &str, message: &[u8], keys: &[&[u8]]| {
        let mut request = grpc(path, message);
        for key in keys {
            request.headers_mut().append(KEY, HeaderValue::from_bytes(key).unwrap());
        }
        wire.send(request).await.status()
    };
    let bad: [&[&[u8]]; 6] = [&[b""], &[b"a b"], &["ü".as_bytes()], &[&[b'a'; 129]], &[b"a", b"a"], &[b"a\tb"]];
    for keys in bad {
        let refused = Problem::of(&send(&path, &create, keys).await);
        assert_eq!(
            (refused.kind(), refused.fields()),
            ((Code::InvalidArgument, "VALIDATION_FAILED"), vec![KEY]),
            "{keys:?}"
        );
        let list = ListUsersRequest::default().encode_to_vec();
        assert_eq!(send(&format!("{USERS}/ListUsers"), &list, keys).await.code(), Code::Ok, "{keys:?}");
    }
    assert_eq!(logged(&server), 0);
    assert_eq!(send(&path, &create, &[&[b'~'; 128]]).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_key_is_no_way_to_guess_a_password() {
    let server = Server::start(|config| {
        config.dev = false;
        config.sign_in_free_failures = 5;
    });
    sign_up(&server, "ada").await;
    let mut auth = server.auth().await;
    let first = auth.sign_in(with_key(sign_in_request("ada", PASSWORD), "k")).await.unwrap().into_inner();
    for number in 0..5 {
        let guess = sign_in_request("ada", &format!("guess number {number}"));
        assert_eq!(problem(auth.sign_in(with_key(guess, "k")).await).reason, "IDEMPOTENCY_KEY_REUSED");
    }
    let right = problem(auth.sign_in(with_key(sign_in_request("ada", PASSWORD), "k")).await);
    assert_eq!(right.kind(), (Code::ResourceExhausted, "ACCOUNT_LOCKED"));
    // Whoever is signed in stays so.
    let token = first.tokens.unwrap().access_token;
    server.users().await.get_user(signed_in(GetUserRequest { user_id: first.user_id }, &token)).await.unwrap();
}

#[tokio::test]
async fn an_answer_of_before_lifts_no_lockout() {
    let server = Server::start(|config| {
        config.dev = false;
        config.sign_in_free_failures = 5;
    });
    sign_up(&server, "ada").await;
    let mut auth = server.auth().await;
    auth.sign_in(with_key(sign_in_request("ada", PASSWORD), "k")).await.unwrap();
    for _ in 0..4 {
        assert_eq!(problem(sign_in(&mut auth, "ada", "not the one").await).reason, "SIGN_IN_FAILED");
    }
    // Right as it was, it says nothing of the password of today: one guess is left, not five.
    auth.sign_in(with_key(sign_in_request("ada", PASSWORD), "k")).await.unwrap();
    let guess = |_| {
        let mut auth = auth.clone();
        async move { sign_in(&mut auth, "ada", "not the one").await }
    };
    looked_at(1, (0..10).map(guess)).await;
}

#[tokio::test]
async fn a_sign_out_ends_the_session_that_it_was_made_with_and_no_other() {
    let server = Server::start(|config| config.dev = false);
    sign_up(&server, "ada").await;
    let mut auth = server.auth().await;
    let wire = server.wire().await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        tokens.push(sign_in(&mut auth, "ada", PASSWORD).await.unwrap().tokens.unwrap().access_token);
    }
    let message = SignOutRequest {}.encode_to_vec();
    let sign_out = async |token: &str| wire.send(keyed(ENDS_ITS_CALLER, &message, "k", Some(token))).await;
    assert_eq!(sign_out(&tokens[0]).await.status().code(), Code::Ok);
    assert_eq!(Problem::of(&sign_out(&tokens[0]).await.status()).reason, "CREDENTIALS_INVALID");
    assert_key_reused(&sign_out(&tokens[1]).await, "another session");
}

#[tokio::test]
async fn a_lost_answer_to_a_change_of_password_costs_nothing() {
    let server = Server::start(|config| config.dev = false);
    let ada = sign_up(&server, "ada").await;
    let token = sign_in(&mut server.auth().await, "ada", PASSWORD).await.unwrap().tokens.unwrap().access_token;
    let message = ChangePasswordRequest {
        user_id: ada.id,
        current_password: PASSWORD.into(),
        new_password: "another horse battery".into(),
    };
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let mut users = server.users().await;
        let mut request = signed_in(message.clone(), &token);
        request.metadata_mut().insert(KEY, "k".parse().unwrap());
        calls.spawn(async move { users.change_password(request).await.map(drop).map_err(|status| status.code()) });
    }
    let outcomes = calls.join_all().await;
    // Whoever came when the session was over has heard of that.
    assert!(outcomes.contains(&Ok(())), "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(Code::Unauthenticated))), "{outcomes:?}");
    assert_eq!(logged(&server), 3, "sign-up, sign-in, change: no guess among them");
}
