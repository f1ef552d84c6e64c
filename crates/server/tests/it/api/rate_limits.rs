//! Too many calls: what is refused, how callers are told when to come back, and what of it is in the audit log.

use std::time::Duration;

use roster_api::user::v1::{GetUserRequest, HealthCheckRequest};
use roster_server::{
    config::Config,
    model::Rate,
    store::{AuditQuery, AuditStore as _, Store as _},
};
use tonic::Code;

use crate::{
    api::USERS,
    harness::{Answer, Problem, Server, grpc, problem, store_in, with_email},
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
    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    let query = AuditQuery { filter: None, newest_first: false, after: None, limit: 100 };
    let events = store.list_events(query).await.unwrap();
    let shown: Vec<_> = events.iter().map(|event| (event.reason.as_str(), event.target.as_str())).collect();
    assert_eq!(shown, [("RATE_LIMITED", "methods/user.v1.UserService/HealthCheck")]);
    store.close().await;
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
