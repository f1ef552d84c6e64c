//! Without `--dev`: who is nobody may sign up, and ask how the server is, and nothing else.

use std::collections::BTreeMap;

use http::HeaderValue;
use roster_api::{
    access::METHODS,
    user::v1::{CreateUserRequest, HealthCheckRequest, Role, SearchUsersRequest, UserStatus},
};
use roster_server::store::{FeedStore as _, Store as _, UserQuery};
use tonic::Code;

use crate::harness::{Problem, Server, create_all, grpc, problem, store_in, with_email};

/// What a caller without credentials may call. Reviewed by hand, not derived from the rules that it checks.
const PUBLIC: [(&str, Outcome); 11] = [
    ("/user.v1.UserService/CreateUser", Outcome::Answers(Code::InvalidArgument)),
    ("/user.v1.UserService/HealthCheck", Outcome::Answers(Code::Ok)),
    ("/user.v1.UserService/SendVerificationEmail", Outcome::Answers(Code::InvalidArgument)),
    ("/user.v1.UserService/VerifyEmail", Outcome::Answers(Code::InvalidArgument)),
    ("/user.v1.UserService/RequestPasswordReset", Outcome::Answers(Code::InvalidArgument)),
    ("/user.v1.UserService/ResetPassword", Outcome::Answers(Code::InvalidArgument)),
    ("/auth.v1.AuthService/SignIn", Outcome::Answers(Code::InvalidArgument)),
    ("/auth.v1.AuthService/RefreshToken", Outcome::Answers(Code::Unauthenticated)),
    ("/user.UserService/CreateUser", Outcome::Later),
    ("/grpc.health.v1.Health/Check", Outcome::Answers(Code::Ok)),
    ("/grpc.health.v1.Health/Watch", Outcome::Answers(Code::Ok)),
];
/// What is not ours and so not in [`METHODS`].
const STANDARD: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// Reaches the method, which answers an empty message with this.
    Answers(Code),
    /// Let through, to a method that is not served yet.
    Later,
}

fn public_server() -> Server {
    Server::start(|config| config.dev = false)
}

#[tokio::test]
async fn whatever_is_not_public_is_refused_before_anything_else() {
    let server = public_server();
    let wire = server.wire().await;
    let public = BTreeMap::from(PUBLIC);
    let all: Vec<&str> = METHODS.iter().map(|method| method.path).chain(STANDARD).collect();
    assert!(public.keys().all(|path| all.contains(path)), "a path that is none");
    for path in all {
        if path.ends_with("/Watch") {
            // Goes on for ever: see the drain.
            continue;
        }
        // Garbage is not even looked at.
        for message in [&b""[..], b"\xff\xff\xff"] {
            let status = wire.call(path, message).await.status();
            match public.get(path) {
                None => {
                    let expected = (Code::Unauthenticated, "CREDENTIALS_MISSING");
                    assert_eq!(Problem::of(&status).kind(), expected, "{path}");
                }
                Some(Outcome::Later) => {
                    assert!(matches!(status.code(), Code::Unimplemented | Code::InvalidArgument), "{path}: {status:?}");
                }
                Some(Outcome::Answers(code)) if message.is_empty() => assert_eq!(status.code(), *code, "{path}"),
                Some(Outcome::Answers(_)) => assert_eq!(Problem::of(&status).reason, "MALFORMED_MESSAGE", "{path}"),
            }
        }
    }
    // What else is wrong with a request is not told either.
    let mut request = grpc("/user.v1.UserService/GetUser", b"");
    request.headers_mut().insert("grpc-encoding", HeaderValue::from_static("br"));
    request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("soon"));
    assert_eq!(Problem::of(&wire.send(request).await.status()).code, Code::Unauthenticated);
    let unknown = wire.call("/user.v1.UserService/Nothing", b"").await.status();
    assert_eq!(Problem::of(&unknown).reason, "METHOD_UNKNOWN");
}

#[tokio::test]
async fn sign_up_makes_a_plain_user_and_nothing_more() {
    let server = public_server();
    let mut users = server.users().await;
    let plain = CreateUserRequest {
        name: "Ada".into(),
        username: "ada".into(),
        password: "securepass123".into(),
        role: Role::User as i32,
        age: Some(36),
        attributes: [("team".to_owned(), "blue".to_owned())].into(),
        ..with_email("ada@example.com")
    };
    let user = users.create_user(plain).await.unwrap().into_inner();
    assert_eq!((user.role, user.status, user.email_verified), (Role::User as i32, UserStatus::Active as i32, false));

    let sign_up = |number| with_email(&format!("user{number}@example.com"));
    let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG";
    for request in [
        CreateUserRequest { role: Role::Admin as i32, ..sign_up(1) },
        CreateUserRequest { role: Role::Moderator as i32, ..sign_up(2) },
        // Not a role of ours, and so not the plain one.
        CreateUserRequest { role: 77, ..sign_up(3) },
        CreateUserRequest { user_id: "chosen".into(), ..sign_up(4) },
        CreateUserRequest { password_hash: hash.into(), ..sign_up(5) },
        CreateUserRequest { email_verified: true, ..sign_up(6) },
        // The permission comes first: neither what is wrong nor who exists is told.
        CreateUserRequest { email_verified: true, ..with_email("no address") },
        CreateUserRequest { user_id: user.id.clone(), ..with_email("ada@example.com") },
    ] {
        for validate_only in [true, false] {
            let request = CreateUserRequest { validate_only, ..request.clone() };
            let refused = problem(users.create_user(request).await);
            assert_eq!(refused.kind(), (Code::PermissionDenied, "PERMISSION_DENIED"));
            assert_eq!(refused.metadata["permission"], "users.create");
            assert!(refused.violations.is_empty() && refused.resource.is_none(), "{refused:?}");
        }
    }
    assert_eq!(problem(users.create_user(with_email("ADA@example.com")).await).reason, "EMAIL_TAKEN");
    let dry = CreateUserRequest { validate_only: true, ..sign_up(7) };
    assert_eq!(users.create_user(dry).await.unwrap().into_inner().email, "user7@example.com");

    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    let query = UserQuery { filter: None, search: None, order: Default::default(), after: None, limit: 10 };
    let stored = store.list_users(query).await.unwrap();
    assert_eq!(stored.iter().map(|stored| stored.user().unwrap().id.to_string()).collect::<Vec<_>>(), [user.id]);
    let changes = store.list_changes(0, 10).await.unwrap().changes;
    assert_eq!(changes.iter().map(|change| change.actor.as_str()).collect::<Vec<_>>(), ["anonymous"]);
    store.close().await;
}

#[tokio::test]
async fn anybody_may_ask_how_the_server_is() {
    let server = public_server();
    server.users().await.health_check(HealthCheckRequest {}).await.unwrap();
    let health = server.wire().await.call("/grpc.health.v1.Health/Check", b"").await;
    assert_eq!(health.status().code(), Code::Ok);
}

#[tokio::test]
async fn a_page_token_belongs_to_a_caller_and_a_server_key() {
    // The key is in the database: another database, another key.
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let server = Server::dev();
        let mut users = server.users().await;
        create_all(&mut users, &["ada", "bea"]).await;
        let request = SearchUsersRequest { page_size: 1, ..Default::default() };
        let mine = users.search_users(request.clone()).await.unwrap().into_inner().next_page_token;
        for page_token in tokens.drain(..) {
            let foreign = SearchUsersRequest { page_token, ..request.clone() };
            assert_eq!(problem(users.search_users(foreign).await).reason, "PAGE_TOKEN_INVALID");
        }
        let again = SearchUsersRequest { page_token: mine.clone(), ..request };
        assert_eq!(users.search_users(again).await.unwrap().into_inner().users.len(), 1);
        tokens.push(mine);
    }
}
