//! Redis goes away and comes back: nobody waits for it for longer than once, and all goes on when it is there again.

use std::time::{Duration, Instant};

use roster_server::{
    metrics::Page,
    redis::{Away, OpenError, Purpose, Redis, RedisOptions, State},
};

use super::{connected, count, options, start, up};
use crate::redis_server::RedisServer;

/// Waits until the breaker is open because of a connection that is of no use.
async fn away(redis: &Redis) {
    redis.state().wait_for(|state| matches!(state, State::Away(_))).await.unwrap();
}

fn number(redis: &Redis, sample: &str) -> f64 {
    let mut page = Page::default();
    redis.report(&mut page);
    let text = page.into_text();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_found_when_it_comes() {
    let mut server = RedisServer::start();
    server.kill();
    let redis = start(options(&server.url())).await.unwrap();
    away(&redis).await;
    assert_eq!(count(&redis, "a").await, Err(Away));
    assert_eq!(number(&redis, "roster_redis_up"), 0.0);
    server.start_again();
    let redis = up(redis).await;
    assert_eq!(count(&redis, "a").await, Ok(1));
    assert_eq!(number(&redis, "roster_redis_up"), 1.0);
    assert_eq!(number(&redis, "roster_redis_connects_total{outcome=\"done\"}"), 1.0);
}

#[tokio::test]
async fn a_server_that_is_killed_is_done_without_until_it_is_there_again() {
    let mut server = RedisServer::start();
    let redis = connected(&server).await;
    assert_eq!(count(&redis, "a").await, Ok(1));
    server.kill();
    away(&redis).await;
    assert_eq!(count(&redis, "a").await, Err(Away));
    server.start_again();
    let redis = up(redis).await;
    // It has forgotten all, the script included.
    assert_eq!(count(&redis, "a").await, Ok(1));
}

#[tokio::test]
async fn of_those_who_ask_a_frozen_server_each_waits_once_and_whoever_comes_later_not_at_all() {
    let server = RedisServer::start();
    let wait_max = Duration::from_millis(50);
    let redis = up(start(RedisOptions { wait_max, ..options(&server.url()) }).await.unwrap()).await;
    server.freeze();
    let began = Instant::now();
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let redis = redis.clone();
            tokio::spawn(async move { count(&redis, "a").await })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), Err(Away));
    }
    let waited = began.elapsed();
    assert!(waited >= wait_max, "{waited:?}");
    // All waited at the same time: one after the other they would have waited for five seconds.
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    for _ in 0..1_000 {
        assert_eq!(count(&redis, "a").await, Err(Away));
    }
    assert_eq!(number(&redis, "roster_redis_breaker_opened_total"), 1.0);
    assert_eq!(number(&redis, "roster_redis_commands_total{purpose=\"limit\",outcome=\"skipped\"}"), 1_000.0);
    away(&redis).await;
    server.thaw();
    let redis = up(redis).await;
    // What was asked before may have been done late; a busy machine may let this come late, too.
    while count(&redis, "a").await.is_err() {}
    assert!(server.ask::<i64>("GET test:a") >= 1);
}

#[tokio::test]
async fn a_server_that_has_forgotten_everything_is_used_on() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    assert_eq!(count(&redis, "a").await, Ok(1));
    server.ask::<()>("FLUSHALL");
    server.ask::<()>("SCRIPT FLUSH");
    assert_eq!(count(&redis, "a").await, Ok(1));
    assert_eq!(number(&redis, "roster_redis_breaker_opened_total"), 0.0);
}

#[tokio::test]
async fn what_redis_refuses_is_no_reason_to_give_it_up() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    server.ask::<()>("SET test:text not-a-number");
    assert_eq!(count(&redis, "text").await, Err(Away));
    assert!(redis.refuses());
    assert_eq!(count(&redis, "a").await, Ok(1));
    let mut commands = redis::pipe();
    commands.cmd("SET").arg(redis.key("x")).arg(1).cmd("INCRBY").arg(redis.key("x")).arg(41);
    let answers = redis.batch(Purpose::Presence, commands).await.unwrap();
    assert_eq!(answers, [redis::Value::Okay, redis::Value::Int(42)]);
    assert_eq!(number(&redis, "roster_redis_commands_total{purpose=\"limit\",outcome=\"refused\"}"), 1.0);
    assert_eq!(number(&redis, "roster_redis_commands_total{purpose=\"presence\",outcome=\"done\"}"), 1.0);
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_given_up_until_it_takes_writes_again() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    server.ask::<()>("REPLICAOF 127.0.0.1 1");
    let read_only = |state: &State| matches!(state, State::Away(OpenError::ReadOnly { .. }));
    redis.state().wait_for(read_only).await.unwrap();
    server.ask::<()>("REPLICAOF NO ONE");
    assert_eq!(count(&up(redis).await, "a").await, Ok(1));
}

#[tokio::test]
async fn a_password_that_is_changed_in_flight_is_told() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    server.ask::<()>("CONFIG SET requirepass hunter2");
    let mut owner = redis::Client::open(format!("redis://:hunter2@{}", server.addr)).unwrap().get_connection().unwrap();
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut owner).unwrap();
    let refused = |state: &State| matches!(state, State::Away(error) if error.is_lasting());
    redis.state().wait_for(refused).await.unwrap();
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("").exec(&mut owner).unwrap();
    assert_eq!(count(&up(redis).await, "a").await, Ok(1));
}
