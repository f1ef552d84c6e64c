//! Commits wake other servers through Redis, where PostgreSQL cannot.

use std::time::{Duration, Instant};

use super::{Shared, at_least};
use crate::{
    api::watch::{Watch, with_filter},
    harness::{Server, with_email},
};

const HEARD: &str = "roster_redis_messages_total{channel=\"commits\",direction=\"heard\"}";
/// Commits whose way to the other server is timed.
const ROUNDS: usize = 21;

/// How long it took in most cases until a watch on one server told of what was committed on another.
async fn usual_delay(here: &Server, there: &Server, name: &str) -> Duration {
    let mut watching = there.users().await;
    let mut watch = Watch::start(&mut watching, with_filter("")).await;
    let mut users = here.users().await;
    let mut delays = Vec::new();
    for number in 0..ROUNDS {
        let user = users.create_user(with_email(&format!("{name}{number}@example.com"))).await.unwrap().into_inner();
        let began = Instant::now();
        while watch.change().await.user.is_none_or(|told| told.id != user.id) {}
        delays.push(began.elapsed());
    }
    delays.sort();
    delays[ROUNDS / 2]
}

#[tokio::test]
async fn what_one_server_commits_wakes_the_other_where_the_database_notifies_nobody() {
    let mut shared = Shared::new();
    // As behind a pooler that lets no connection listen.
    let owner = shared.database.connect().await;
    let source = "SELECT pg_get_functiondef('number_changes'::regproc)";
    let source: String = owner.query_one(source, &[]).await.unwrap().get(0);
    let silent = source.replace("PERFORM pg_notify('roster_log', last::TEXT);", "");
    assert_ne!(silent, source);
    owner.batch_execute(&silent).await.unwrap();

    let [here, there] = shared.two(|_| ()).await;
    let woken = usual_delay(&here, &there, "woken").await;
    at_least(&there, HEARD, 1.0).await;
    shared.redis.kill();
    let looked = usual_delay(&here, &there, "looked").await;
    assert!(woken < looked, "{woken:?} with Redis, {looked:?} without");
}
