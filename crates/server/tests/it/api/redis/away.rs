//! Redis goes away in flight: calls go on, and health says what is missing.

use std::time::{Duration, Instant};

use roster_api::user::v1::{HealthCheckRequest, HealthStatus, VerifyEmailRequest};
use roster_server::{config::Config, model::Rate};

use super::{Scraped, Shared, until};
use crate::{
    api::sign_in::{PASSWORD, sign_in, sign_up},
    harness::{Server, problem},
};

/// What a call waits for Redis.
const WAIT_MAX: Duration = Duration::from_millis(50);
const OPENED: &str = "roster_redis_breaker_opened_total";

fn waits(config: &mut Config) {
    config.redis_wait_max = WAIT_MAX;
    // Limited, so that Redis is asked, and far from empty.
    config.rates.sign_in = Rate { per_minute: 60, burst: 100_000 };
}

/// How long a call takes that asks Redis and fails for another reason.
async fn call(server: &Server) -> Duration {
    let mut users = server.users().await;
    let began = Instant::now();
    let refused = problem(users.verify_email(VerifyEmailRequest { token: "no token".into() }).await);
    assert_eq!(refused.reason, "TOKEN_INVALID");
    began.elapsed()
}

/// What the probe says of Redis, and its status.
async fn told(server: &Server) -> (String, bool) {
    let answer = server.http_get("/readyz?verbose").await;
    let line = answer.lines().find(|line| line.contains("] redis")).unwrap_or_else(|| panic!("{answer}"));
    (line.to_owned(), answer.starts_with("HTTP/1.1 200"))
}

#[tokio::test]
async fn a_redis_that_freezes_holds_up_calls_once_and_no_longer_than_it_may() {
    let shared = Shared::new();
    let server = shared.server(waits).await;
    sign_up(&server, "ada").await;
    assert!(told(&server).await.0.starts_with("[+] redis ok in "));
    call(&server).await;
    shared.redis.freeze();
    let opened = Scraped::of(&server).await.get(OPENED);
    let longest = call(&server).await;
    assert!(Scraped::of(&server).await.get(OPENED) <= opened + 1.0);
    // The machine may be busy with other tests: what is held against the limit is that nobody waits again.
    assert!(longest < WAIT_MAX + Duration::from_secs(2), "{longest:?}");
    let mut quickest = Duration::MAX;
    for _ in 0..200 {
        quickest = quickest.min(call(&server).await);
    }
    assert!(quickest < WAIT_MAX, "{quickest:?}");
    let skipped = Scraped::of(&server).await.get("roster_redis_commands_total{purpose=\"limit\",outcome=\"skipped\"}");
    assert!(skipped >= 199.0, "{skipped}");
    sign_in(&mut server.auth().await, "ada", PASSWORD).await.unwrap();

    // Given up by then.
    while !told(&server).await.0.contains("Redis cannot be reached") {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        told(&server).await,
        ("[~] redis degraded: Redis cannot be reached: limits and lockouts hold on each server by itself".into(), true)
    );
    let health = server.users().await.health_check(HealthCheckRequest {}).await.unwrap().into_inner();
    let redis = health.dependencies.iter().find(|dependency| dependency.name == "redis").unwrap();
    assert_eq!(redis.status(), HealthStatus::Degraded);
    assert_eq!(health.status(), HealthStatus::Degraded);

    shared.redis.thaw();
    until(&server, "roster_redis_up", 1.0).await;
    assert!(told(&server).await.0.starts_with("[+] redis ok in "));
    let done = "roster_redis_commands_total{purpose=\"limit\",outcome=\"done\"}";
    let before = Scraped::of(&server).await.get(done);
    while Scraped::of(&server).await.get(done) == before {
        call(&server).await;
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_is_not_waited_for() {
    let mut shared = Shared::new();
    let server = shared.server(waits).await;
    sign_up(&server, "ada").await;
    shared.redis.kill();
    for _ in 0..20 {
        call(&server).await;
        sign_in(&mut server.auth().await, "ada", PASSWORD).await.unwrap();
    }
    assert!(Scraped::of(&server).await.get(OPENED) <= 1.0);
    until(&server, "roster_redis_up", 0.0).await;
    shared.redis.start_again();
    until(&server, "roster_redis_up", 1.0).await;
    while !shared.redis.keys().iter().any(|key| key.starts_with("roster:limit:")) {
        call(&server).await;
    }
}

#[tokio::test]
async fn a_server_starts_without_redis_and_takes_it_up_when_it_comes() {
    let mut shared = Shared::new();
    shared.redis.kill();
    let url = shared.redis.url();
    let server = Server::start(|config| {
        config.redis_url = url.parse().ok();
        waits(config);
    });
    let (line, is_ready) = told(&server).await;
    assert!(is_ready && line.starts_with("[~] redis degraded: Redis cannot be reached"), "{line}");
    call(&server).await;
    shared.redis.start_again();
    until(&server, "roster_redis_up", 1.0).await;
    assert!(told(&server).await.0.starts_with("[+] redis ok in "));
}

#[tokio::test]
async fn a_redis_that_is_full_refuses_and_calls_go_on() {
    let shared = Shared::new();
    let server = shared.server(waits).await;
    shared.redis.ask::<()>("CONFIG SET maxmemory 1");
    loop {
        call(&server).await;
        let (line, is_ready) = told(&server).await;
        assert!(is_ready, "{line}");
        // A command was refused, or the next look at the connection was.
        if line.starts_with("[~] redis degraded: Redis refuses commands")
            || line.starts_with("[~] redis degraded: Redis is not ready")
        {
            break;
        }
    }
    shared.redis.ask::<()>("CONFIG SET maxmemory 0");
    until(&server, "roster_redis_up", 1.0).await;
}

#[tokio::test]
async fn metrics_of_redis_are_those_of_the_reference() {
    let shared = Shared::new();
    let server = shared.server(|_| ()).await;
    let page = server.http_get("/metrics").await;
    for metric in roster_server::metrics::names::ALL.iter().filter(|metric| metric.name.starts_with("roster_redis_")) {
        assert!(page.contains(&format!("# TYPE {} ", metric.name)), "{}", metric.name);
    }
}
