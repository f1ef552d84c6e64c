//! One set of limits: whoever spreads calls over all nodes gets no more than on one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use roster_api::{
    Error,
    auth::v1::{ApiKey, CreateApiKeyRequest},
    user::v1::{CreateUserRequest, HealthCheckRequest, HealthStatus},
};
use tokio::task::JoinSet;
use tonic::{Code, Request};

use super::{nodes::NODES, site::Site};

/// Sign-ups that one caller may make at once, and how many a minute after that.
pub const SIGN_UP_BURST: u32 = 10;
pub const SIGN_UPS_PER_MINUTE: u32 = 60;
/// How many are tried on each node.
const TRIED: u32 = 2 * SIGN_UP_BURST;
/// How soon servers go by a Redis that is back.
const REDIS_WITHIN: Duration = Duration::from_secs(5);

/// Has a new caller sign people up on all nodes at once; gives how many it could. A name for the callers' key and their
/// people that was not given before.
pub async fn assert_shared(site: &Arc<Site>, name: &str) -> u32 {
    let key = ApiKey { name: name.to_owned(), scopes: vec!["users.read".into()], ..Default::default() };
    let request = CreateApiKeyRequest { api_key: Some(key), validate_only: false };
    let made = site.client().await.auth().create_api_key(request).await.unwrap().into_inner();
    let authorization: tonic::metadata::MetadataValue<_> = format!("Bearer {}", made.secret).parse().unwrap();
    let (began, mut calls) = (Instant::now(), JoinSet::new());
    for (number, node) in site.each().into_iter().enumerate() {
        for call in 0..TRIED {
            let (mut node, authorization) = (node.clone(), authorization.clone());
            let email = format!("{name}-{number}-{call}@example.com");
            calls.spawn(async move {
                let mut request = Request::new(CreateUserRequest { email, ..Default::default() });
                request.metadata_mut().insert("authorization", authorization);
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
