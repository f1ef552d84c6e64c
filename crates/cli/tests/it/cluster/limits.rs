//! One set of limits: whoever spreads calls over all nodes gets no more than on one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use roster_api::{
    Error,
    user::v1::{CreateUserRequest, HealthCheckRequest, HealthStatus},
};
use tokio::task::JoinSet;
use tonic::Code;

use super::{nodes::NODES, site::Site};

/// Sign-ups that may come from one address at once, and how many a minute after that.
pub const SIGN_UP_BURST: u32 = 10;
pub const SIGN_UPS_PER_MINUTE: u32 = 60;
/// How many are tried on each node.
const TRIED: u32 = 2 * SIGN_UP_BURST;
/// How soon servers go by a Redis that is back.
const REDIS_WITHIN: Duration = Duration::from_secs(5);

/// Has people sign up on all nodes at once, from an address that nobody has signed up from lately; gives how many could. Its
/// number is one that was not given before.
pub async fn assert_shared(site: &Arc<Site>, number: u64) -> u32 {
    // Between the nodes' own addresses and those of broadcasts; one comes again long after its bucket is full.
    let from = u8::try_from(100 + number % 150).unwrap();
    let (began, mut calls) = (Instant::now(), JoinSet::new());
    for (at, node) in site.each_from(from).into_iter().enumerate() {
        for call in 0..TRIED {
            let (mut node, email) = (node.clone(), format!("{number}-{at}-{call}@example.com"));
            calls.spawn(async move {
                let request = CreateUserRequest { email, ..Default::default() };
                match node.create_user(request).await.map_err(Error::from) {
                    Ok(_) => 1,
                    Err(error) if error.reason() == Some("RATE_LIMITED") => 0,
                    Err(error) => panic!("a sign-up: {error}"),
                }
            });
        }
    }
    let done: u32 = calls.join_all().await.into_iter().sum();
    let meanwhile = began.elapsed().as_secs_f64() * f64::from(SIGN_UPS_PER_MINUTE) / 60.0;
    let most = SIGN_UP_BURST + meanwhile.ceil() as u32;
    assert!((SIGN_UP_BURST..=most).contains(&done), "{done} sign-ups on {NODES} nodes, where {most} may be");
    done
}

/// Waits until every node says that it goes by Redis.
pub async fn until_redis_is_used(site: &Arc<Site>) {
    let since = Instant::now();
    for mut node in site.each() {
        loop {
            let state = match node.health_check(HealthCheckRequest {}).await {
                Ok(health) => {
                    health.into_inner().dependencies.iter().find(|one| one.name == "redis").map(|one| one.status())
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{status}");
                    None
                }
            };
            if state == Some(HealthStatus::Healthy) {
                break;
            }
            assert!(since.elapsed() < REDIS_WITHIN, "Redis is {state:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
