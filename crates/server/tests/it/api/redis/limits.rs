//! One limit for both servers.

use roster_api::user::v1::{HealthCheckRequest, VerifyEmailRequest};
use roster_server::{config::Config, model::Rate};
use tokio::task::JoinSet;

use super::{Shared, until};
use crate::{
    api::pages,
    harness::{Problem, Server, problem, with_email},
};

/// Ten calls, and then one a minute.
const TEN: Rate = Rate { per_minute: 1, burst: 10 };

/// Who may create users does not sign up.
fn sign_ups_limited(config: &mut Config) {
    config.dev = false;
    config.rates.sign_up = TEN;
}

/// How many of so many reads are let through.
async fn reads(server: &Server, count: usize) -> usize {
    let mut users = server.users().await;
    let mut done = 0;
    for _ in 0..count {
        done += usize::from(users.health_check(HealthCheckRequest {}).await.is_ok());
    }
    done
}

#[tokio::test]
async fn of_sign_ups_on_two_servers_at_once_as_many_are_let_through_as_on_one() {
    let shared = Shared::new();
    let servers = shared.two(sign_ups_limited).await;
    let mut calls = JoinSet::new();
    for number in 0..40 {
        let mut users = servers[number % 2].users().await;
        let request = with_email(&format!("user{number}@example.com"));
        calls.spawn(async move { users.create_user(request).await });
    }
    let mut created = 0;
    for outcome in calls.join_all().await {
        match outcome {
            Ok(_) => created += 1,
            Err(status) => {
                let refused = Problem::of(&status);
                assert_eq!(refused.reason, "RATE_LIMITED");
                assert!(refused.retry_after.is_some_and(|wait| wait.as_secs() <= 60), "{refused:?}");
            }
        }
    }
    assert_eq!(created, 10);
    assert_eq!(shared.database.number("SELECT count(*) FROM users"), 10);
    // Each has heard that there is nothing left, and need not ask any more.
    for server in &servers {
        let refused = problem(server.users().await.create_user(with_email("more@example.com")).await);
        assert_eq!(refused.reason, "RATE_LIMITED");
    }
    // What is in Redis ends by itself, and names nobody.
    for key in shared.redis.keys().iter().filter(|key| key.contains(":limit:")) {
        let left: i64 = shared.redis.ask(&format!("PTTL {key}"));
        assert!((0..=600_000).contains(&left), "{key} {left}");
        assert!(!key.contains("127.0.0.1"), "{key}");
    }
}

#[tokio::test]
async fn pages_and_methods_of_all_servers_share_a_limit() {
    let shared = Shared::new();
    let [here, there] = shared.two(|config| config.rates.sign_in = TEN).await;
    let mut tried = 0;
    for number in 0..20 {
        let refused = if number % 2 == 0 {
            let token = "no token".to_owned();
            problem(here.users().await.verify_email(VerifyEmailRequest { token }).await).reason == "RATE_LIMITED"
        } else {
            let fields = [("token", "no token")];
            pages::post(&there, "/verify-email", &fields).await.status == 429
        };
        tried += usize::from(!refused);
    }
    assert_eq!(tried, 10);
}

#[tokio::test]
async fn reads_wait_for_nobody_and_what_was_too_much_is_owed() {
    let shared = Shared::new();
    let [here, there] = shared.two(|config| config.rates.read = Rate { per_minute: 60, burst: 2_000 }).await;
    let taken = reads(&here, 2_100).await;
    assert!((2_000..2_100).contains(&taken), "{taken}");
    // The other has a bucket of its own, until it hears in what state the one of all is.
    let mut also_taken = reads(&there, 100).await;
    while also_taken < 2_000 {
        let more = reads(&there, 10).await;
        also_taken += more;
        if more == 0 {
            break;
        }
    }
    assert!(also_taken < 1_500, "{also_taken}");
    // Longer than either of them would have anybody wait by itself: both have taken from one.
    let refused = problem(there.users().await.health_check(HealthCheckRequest {}).await);
    assert!(refused.retry_after.is_some_and(|wait| wait.as_secs() > 30), "{refused:?}");
}

#[tokio::test]
async fn limits_that_redis_has_forgotten_are_still_those_of_each_server() {
    let mut shared = Shared::new();
    let [here, there] = shared.two(sign_ups_limited).await;
    let sign_ups = async |server: &Server, name: &str| {
        let mut users = server.users().await;
        let mut created = 0;
        for number in 0..20 {
            created += usize::from(users.create_user(with_email(&format!("{name}{number}@example.com"))).await.is_ok());
        }
        created
    };
    assert_eq!(sign_ups(&here, "a").await, 10);
    shared.redis.ask::<()>("FLUSHALL");
    assert_eq!(sign_ups(&here, "b").await, 0, "what this server knows");
    assert_eq!(sign_ups(&there, "c").await, 10, "what is left of the other's own");
    shared.redis.kill();
    until(&there, "roster_redis_up", 0.0).await;
    assert_eq!(sign_ups(&there, "d").await + sign_ups(&here, "e").await, 0);
}
