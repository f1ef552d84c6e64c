//! Guesses are counted once, on whichever server they are made.

use std::time::{Duration, Instant};

use roster_api::user::v1::ChangePasswordRequest;
use tokio::task::JoinSet;

use super::{Shared, at_least, until};
use crate::{
    api::sign_in::{PASSWORD, sign_in, sign_up},
    harness::{Problem, Server, problem},
};

const WRONG: &str = "wrong password";

/// The reason why a guess fails.
async fn guess(server: &Server, login: &str) -> Problem {
    problem(sign_in(&mut server.auth().await, login, WRONG).await)
}

async fn is_locked(server: &Server, login: &str) -> bool {
    match guess(server, login).await.reason.as_str() {
        "ACCOUNT_LOCKED" => true,
        "SIGN_IN_FAILED" => false,
        other => panic!("{other}"),
    }
}

/// Makes the next guess at the one account that was guessed at lock it for minutes, on behalf of many before it.
fn age(shared: &Shared) {
    let keys = shared.redis.keys();
    let key = keys.iter().find(|key| key.contains("}:account:")).unwrap();
    shared.redis.ask::<i64>(&format!("HSET {key} failures 13"));
}

/// How many more than are free may be looked at until a guess fails in so much time, as each second, then two, four and
/// so on are waited for.
fn after_waiting(elapsed: Duration) -> usize {
    (1..).take_while(|guesses| (1_u64 << guesses) - 1 <= elapsed.as_secs() + 1).count()
}

#[tokio::test]
async fn of_500_guesses_on_two_servers_as_many_are_looked_at_as_on_one() {
    let shared = Shared::new();
    let servers = shared.two(|config| config.sign_in_free_failures = 20).await;
    sign_up(&servers[0], "ada").await;
    let clients = [servers[0].auth().await, servers[1].auth().await];
    let began = Instant::now();
    let mut guesses = JoinSet::new();
    for number in 0..500 {
        let mut auth = clients[number % 2].clone();
        // By either of her names.
        let login = ["ada", "ada@example.com", "ADA"][number % 3];
        guesses.spawn(async move { problem(sign_in(&mut auth, login, WRONG).await).reason });
    }
    let reasons = guesses.join_all().await;
    let looked_at = reasons.iter().filter(|reason| *reason == "SIGN_IN_FAILED").count();
    let locked = reasons.iter().filter(|reason| *reason == "ACCOUNT_LOCKED").count();
    assert_eq!(looked_at + locked, 500, "{reasons:?}");
    assert!((20..=20 + after_waiting(began.elapsed())).contains(&looked_at), "{looked_at} in {:?}", began.elapsed());
}

#[tokio::test]
async fn to_be_right_on_one_server_starts_afresh_on_all() {
    let shared = Shared::new();
    let [here, there] = shared.two(|config| config.sign_in_free_failures = 4).await;
    sign_up(&here, "ada").await;
    for _ in 0..3 {
        for server in [&here, &there, &here] {
            assert!(!is_locked(server, "ada").await);
        }
        sign_in(&mut there.auth().await, "ada", PASSWORD).await.unwrap();
    }
    for server in [&here, &there, &here, &there] {
        assert!(!is_locked(server, "ada").await);
    }
    for server in [&here, &there] {
        assert!(is_locked(server, "ada@example.com").await);
        let refused = problem(sign_in(&mut server.auth().await, "ada", PASSWORD).await);
        assert_eq!(refused.reason, "ACCOUNT_LOCKED");
        assert!(refused.retry_after.is_some_and(|wait| wait <= Duration::from_secs(1)), "{refused:?}");
    }
}

#[tokio::test]
async fn an_address_is_counted_on_all_servers() {
    let shared = Shared::new();
    let servers = shared.two(|config| config.sign_in_free_failures_per_address = 6).await;
    for number in 0..6 {
        assert!(!is_locked(&servers[number % 2], &format!("user{number}")).await);
    }
    for server in &servers {
        assert!(is_locked(server, "somebody else").await);
    }
    assert!(shared.redis.keys().iter().all(|key| !key.contains("user0") && !key.contains("127.0.0.1")));
}

#[tokio::test]
async fn a_lock_stands_on_every_server_whether_redis_goes_away_or_comes_back_empty() {
    let mut shared = Shared::new();
    let [here, there] = shared.two(|_| ()).await;
    sign_up(&here, "ada").await;
    assert!(!is_locked(&here, "ada").await);
    age(&shared);
    assert!(!is_locked(&here, "ada").await);
    // The other has heard of it, though nobody has guessed there.
    at_least(&there, "roster_failed_guesses_remembered", 1.0).await;
    at_least(&here, "roster_redis_messages_total{channel=\"lockouts\",direction=\"sent\"}", 1.0).await;
    shared.redis.ask::<()>("FLUSHALL");
    for server in [&there, &here] {
        assert!(is_locked(server, "ada").await, "flushed");
    }
    shared.redis.kill();
    for server in [&here, &there] {
        until(server, "roster_redis_up", 0.0).await;
        assert!(is_locked(server, "ada").await, "away");
    }
    shared.redis.start_again();
    for server in [&here, &there] {
        until(server, "roster_redis_up", 1.0).await;
        assert!(is_locked(server, "ada").await, "back");
    }
    let refused = guess(&there, "ada").await;
    assert!(refused.retry_after.is_some_and(|wait| wait > Duration::from_secs(60)), "{refused:?}");
}

#[tokio::test]
async fn what_is_counted_while_redis_is_away_all_hear_when_it_is_back() {
    let mut shared = Shared::new();
    let [here, there] = shared.two(|config| config.sign_in_free_failures = 3).await;
    shared.redis.kill();
    until(&here, "roster_redis_up", 0.0).await;
    for _ in 0..3 {
        assert!(!is_locked(&here, "ada").await);
    }
    assert!(is_locked(&here, "ada").await);
    shared.redis.start_again();
    for server in [&here, &there] {
        until(server, "roster_redis_up", 1.0).await;
    }
    // Three are known there by then, if the lock of a second is over.
    while !shared.redis.keys().iter().any(|key| key.contains("}:account:")) {
        tokio::task::yield_now().await;
    }
    while is_locked(&there, "ada").await {}
    assert!(is_locked(&there, "ada").await, "the fourth was free of nothing");
}

#[tokio::test]
async fn a_new_password_unlocks_on_every_server() {
    let shared = Shared::new();
    let [here, there] = shared.two(|_| ()).await;
    let ada = sign_up(&here, "ada").await;
    assert!(!is_locked(&there, "ada").await);
    age(&shared);
    assert!(!is_locked(&there, "ada").await && is_locked(&here, "ada").await);
    let new_password = "another battery".to_owned();
    let request = ChangePasswordRequest { user_id: ada.id, new_password, ..Default::default() };
    there.users().await.change_password(request).await.unwrap();
    for server in [&here, &there] {
        sign_in(&mut server.auth().await, "ada", "another battery").await.unwrap();
    }
}
