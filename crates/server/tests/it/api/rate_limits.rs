//! Too many calls: what is refused, how callers are told when to come back, and what of it is in the audit log.

use std::time::Duration;

use roster_api::user::v1::{GetUserRequest, HealthCheckRequest, RequestPasswordResetRequest, VerifyEmailRequest};
use roster_server::{
    config::Config,
    model::Rate,
    store::{AuditQuery, AuditStore as _, Store as _},
};
use tonic::Code;

use crate::{
    api::{USERS, api_keys::create_key, pages},
    harness::{Answer, Problem, Server, grpc, problem, signed_in, store_in, with_email},
};

/// Two calls, and then one a minute.
const TWICE: Rate = Rate { per_minute: 1, burst: 2 };

fn server(set: impl FnOnce(&mut Config)) -> Server {
    Server::start(|config| {
        config.dev = false;
        set(config);
    })
}

fn number(answer: &Answer, name: &str) -> u64 {
    answer.headers[name].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_back() {
    let server = server(|config| config.rates.read = TWICE);
    let wire = server.wire().await;
    let path = format!("{USERS}/HealthCheck");
    for _ in 0..2 {
        assert_eq!(wire.call(&path, b"").await.status().code(), Code::Ok);
    }
    let answer = wire.call(&path, b"").await;
    let refused = Problem::of(&answer.status());
    assert_eq!(refused.kind(), (Code::ResourceExhausted, "RATE_LIMITED"));
    let wait = refused.retry_after.unwrap();
    assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(60), "{wait:?}");
    // As proxies and as gRPC's own retries read it.
    assert!(Duration::from_secs(number(&answer, "retry-after")) >= wait);
    assert!(Duration::from_millis(number(&answer, "grpc-retry-pushback-ms")) >= wait);
    assert_eq!(refused.message, format!("too many calls; try again in {} s", number(&answer, "retry-after")));
    // Before anything else: not even the message or the credentials are looked at.
    let answer = wire.call(&format!("{USERS}/GetUser"), b"\xff\xff").await;
    assert_eq!(Problem::of(&answer.status()).reason, "RATE_LIMITED");
    // Health of gRPC is a read like any other, and another class has calls of its own.
    assert_eq!(wire.call("/grpc.health.v1.Health/Check", b"").await.status().code(), Code::ResourceExhausted);
    server.users().await.create_user(with_email("ada@example.com")).await.unwrap();
    // What shows credentials that turn out to be nobody's is counted all the same.
    let mut request = grpc(&path, b"");
    request.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
    assert_ne!(wire.send(request).await.status().code(), Code::Ok);
}

#[tokio::test]
async fn each_class_has_its_own_setting() {
    let server = server(|config| config.rates.sign_up = TWICE);
    let mut users = server.users().await;
    for number in 0..2 {
        users.create_user(with_email(&format!("user{number}@example.com"))).await.unwrap();
    }
    assert_eq!(problem(users.create_user(with_email("ada@example.com")).await).reason, "RATE_LIMITED");
    for _ in 0..10 {
        users.health_check(HealthCheckRequest {}).await.unwrap();
        assert_eq!(problem(users.get_user(GetUserRequest::default()).await).code, Code::Unauthenticated);
    }
}

#[tokio::test]
async fn an_address_that_is_refused_again_and_again_is_in_the_audit_log_once() {
    let server = server(|config| config.rates.read = TWICE);
    let mut users = server.users().await;
    for number in 0..50 {
        let health = users.health_check(HealthCheckRequest {}).await;
        assert_eq!(health.is_ok(), number < 2);
    }
    assert_eq!(refusals(server).await, [("RATE_LIMITED".into(), "methods/user.v1.UserService/HealthCheck".into())]);
}

/// Reason and target of everything in the audit log of a server that has only refused.
async fn refusals(server: Server) -> Vec<(String, String)> {
    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    let query = AuditQuery { filter: None, newest_first: false, after: None, limit: 100 };
    let events = store.list_events(query).await.unwrap();
    store.close().await;
    events.into_iter().map(|event| (event.reason, event.target)).collect()
}

#[tokio::test]
async fn the_pages_behind_links_share_the_limits_of_the_methods_that_do_the_same() {
    let server = server(|config| config.rates.sign_in = TWICE);
    let mut users = server.users().await;
    let verify = || VerifyEmailRequest { token: "no token".into() };
    assert_eq!(problem(users.verify_email(verify()).await).reason, "TOKEN_INVALID");
    let fields = [("token", "no token"), ("new_password", "correct horse"), ("repeated", "correct horse")];
    assert_eq!(pages::post(&server, "/reset-password", &fields).await.status, 400);
    for number in 0..20 {
        let path = ["/reset-password", "/verify-email"][number % 2];
        let limited = pages::post(&server, path, &fields).await;
        let wait = limited.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
        assert!((limited.status, (31..=60).contains(&wait.parse::<u64>().unwrap())) == (429, true), "{limited:?}");
        assert!(limited.body.contains("<html lang=\"en\">"), "{limited:?}");
        // To look at a page costs nothing.
        assert_eq!(pages::ask(&server, "GET", &format!("{path}?token=T"), &[], "").await.status, 200);
    }
    assert_eq!(problem(users.verify_email(verify()).await).reason, "RATE_LIMITED");
    assert_eq!(refusals(server).await, [("RATE_LIMITED".into(), "pages/reset-password".into())]);
}

#[tokio::test]
async fn guesses_sign_ups_and_mails_of_one_address_are_limited_by_default() {
    let defaults = Config::defaults(false).rates;
    let server = server(|config| config.rates = defaults);
    let mut users = server.users().await;
    let (mut created, mut mailed, mut tried) = (0, 0, 0);
    for number in 0..150 {
        created += usize::from(users.create_user(with_email(&format!("user{number}@example.com"))).await.is_ok());
        let email = format!("user{number}@example.com");
        mailed += usize::from(users.request_password_reset(RequestPasswordResetRequest { email }).await.is_ok());
        let verified = problem(users.verify_email(VerifyEmailRequest { token: "no token".into() }).await);
        tried += usize::from(verified.reason == "TOKEN_INVALID");
    }
    // The burst, and what comes back while the test runs.
    assert!((100..150).contains(&created) && (100..150).contains(&tried), "{created} created, {tried} tried");
    assert!((20..150).contains(&mailed), "{mailed} mailed");
}

#[tokio::test]
async fn a_server_for_development_limits_nothing_unless_told() {
    let free = Server::dev();
    let mut users = free.users().await;
    for _ in 0..3_000 {
        users.health_check(HealthCheckRequest {}).await.unwrap();
    }
    let told = Server::start(|config| config.rates.read = TWICE);
    let mut users = told.users().await;
    for number in 0..3 {
        assert_eq!(users.health_check(HealthCheckRequest {}).await.is_ok(), number < 2);
    }
}

#[tokio::test]
async fn a_service_that_creates_users_for_others_does_not_sign_up() {
    let server = Server::start(|config| config.rates.sign_up = Rate { per_minute: 1, burst: 3 });
    let (_, key) = create_key(&server, &["users.create"]).await;
    let mut users = server.users().await;
    for number in 0..5 {
        let request = with_email(&format!("user{number}@example.com"));
        users.create_user(signed_in(request, &key)).await.unwrap();
    }
    // Nor do those of whom it is yet to be found out.
    for number in 5..10 {
        let (_, key) = create_key(&server, &["users.create"]).await;
        let request = with_email(&format!("user{number}@example.com"));
        users.create_user(signed_in(request, &key)).await.unwrap();
    }
    let (_, other) = create_key(&server, &["users.read"]).await;
    let mut create =
        async |number| users.create_user(signed_in(with_email(&format!("by{number}@example.com")), &other)).await;
    for number in 0..3 {
        create(number).await.unwrap();
    }
    assert_eq!(problem(create(3).await).reason, "RATE_LIMITED");
}
