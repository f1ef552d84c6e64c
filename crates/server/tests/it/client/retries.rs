//! Retries, breaker and load balancing, seen from the servers' side.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use roster_api::{
    Client, RetryPolicy,
    user::v1::{CreateUserRequest, GetUserRequest, ListUsersRequest},
};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{Code, Request, Status};

use super::bad_server::{BadServer, Deed};
use crate::harness::Server;

async fn client_of(servers: &[&BadServer]) -> Client {
    let builder = servers.iter().fold(Client::builder(), |builder, server| builder.endpoint(server.addr.to_string()));
    builder.connect().await.unwrap()
}

fn ada() -> GetUserRequest {
    GetUserRequest { user_id: "ada".into() }
}

fn unavailable() -> Deed {
    Deed::Refuse(Status::unavailable("not now"))
}

#[tokio::test]
async fn reads_are_tried_again_and_writes_with_one_key() {
    let server = BadServer::start(|number| match number % 3 {
        0 => unavailable(),
        1 => Deed::Drop,
        _ => Deed::Answer,
    })
    .await;
    let client = client_of(&[&server]).await;
    assert_eq!(client.users().get_user(ada()).await.unwrap().into_inner().id, "ada");
    assert_eq!(server.seen().len(), 3);
    assert!(server.seen().iter().all(|headers| !headers.contains_key("idempotency-key")));

    client.users().create_user(CreateUserRequest::default()).await.unwrap();
    let keys: Vec<_> = server.seen()[3..].iter().map(|headers| headers["idempotency-key"].clone()).collect();
    assert_eq!((keys.len(), keys[0] == keys[1], keys[1] == keys[2]), (3, true, true));
    client.users().create_user(CreateUserRequest::default()).await.unwrap();
    assert_ne!(server.seen()[6]["idempotency-key"], keys[0], "each call has a key of its own");
    // The time that is left goes with each attempt.
    let timeouts = server.seen();
    let left: Vec<u64> =
        timeouts.iter().map(|h| h["grpc-timeout"].to_str().unwrap().trim_end_matches('u').parse().unwrap()).collect();
    assert!(left[..3].is_sorted_by(|before, after| before > after), "{left:?}");
}

#[tokio::test]
async fn a_proxy_that_has_found_no_server_is_asked_again() {
    for status in [429, 502, 503, 504] {
        let server = BadServer::start(move |number| if number == 0 { Deed::Proxy(status) } else { Deed::Answer }).await;
        client_of(&[&server]).await.users().create_user(CreateUserRequest::default()).await.unwrap();
        let keys: Vec<_> = server.seen().iter().map(|headers| headers["idempotency-key"].clone()).collect();
        assert_eq!((keys.len(), keys[0] == keys[1]), (2, true), "{status}");
    }
    // Others say that something is wrong with the call, or with the way to the server.
    for status in [400, 401, 403, 404, 500] {
        let server = BadServer::start(move |_| Deed::Proxy(status)).await;
        client_of(&[&server]).await.users().get_user(ada()).await.unwrap_err();
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn what_cannot_do_better_is_not_tried_again() {
    let refusals = [
        Status::not_found(""),
        Status::invalid_argument(""),
        Status::deadline_exceeded(""),
        Status::internal(""),
        Status::resource_exhausted("too large"),
        Status::aborted(""),
    ];
    for refusal in refusals {
        let code = refusal.code();
        let server = BadServer::start(move |_| Deed::Refuse(refusal.clone())).await;
        let client = client_of(&[&server]).await;
        assert_eq!(client.users().get_user(ada()).await.unwrap_err().code(), code);
        assert_eq!(server.seen().len(), 1, "{code:?}");
    }
    // Nor is a stream of requests: nobody has kept what was sent.
    let server = BadServer::start(|_| unavailable()).await;
    let requests = tokio_stream::iter([]);
    let refused = client_of(&[&server]).await.users().import_users(requests).await;
    assert_eq!((refused.unwrap_err().code(), server.seen().len()), (Code::Unavailable, 1));
    // Nor anything by a client that is told not to.
    let server = BadServer::start(|_| unavailable()).await;
    let builder = Client::builder().endpoint(server.addr.to_string()).retry(RetryPolicy::never());
    let refused = builder.connect().await.unwrap().users().create_user(CreateUserRequest::default()).await;
    assert_eq!((refused.unwrap_err().code(), server.seen().len()), (Code::Unavailable, 1));
    assert!(!server.seen()[0].contains_key("idempotency-key"));
}

#[tokio::test]
async fn a_server_that_says_when_is_asked_then() {
    let pushback = |value: &'static str| {
        let mut status = Status::unavailable("later");
        status.metadata_mut().insert("grpc-retry-pushback-ms", value.parse().unwrap());
        Deed::Refuse(status)
    };
    let server = BadServer::start(move |number| if number == 0 { pushback("300") } else { Deed::Answer }).await;
    let client = client_of(&[&server]).await;
    let started = Instant::now();
    client.users().get_user(ada()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    // Never, or later than anybody waits.
    for no in ["-1", "60000"] {
        let server = BadServer::start(move |_| pushback(no)).await;
        assert!(client_of(&[&server]).await.users().get_user(ada()).await.is_err());
        assert_eq!(server.seen().len(), 1, "{no}");
    }
}

#[tokio::test]
async fn an_outage_is_not_made_worse() {
    let server = BadServer::start(|_| unavailable()).await;
    let client = client_of(&[&server]).await;
    let calls = 200;
    for _ in 0..calls {
        assert_eq!(client.users().get_user(ada()).await.unwrap_err().code(), Code::Unavailable);
    }
    // The budget stops the retries, and the breaker most of the calls.
    let sent = server.seen().len();
    assert!(sent * 10 <= calls * 12, "{sent} attempts for {calls} calls");
    println!("{sent} attempts for {calls} calls");
}

#[tokio::test]
async fn shedding_is_not_answered_with_a_storm() {
    // Every second call is refused: the server is busy, but it lives, so no breaker opens.
    let shed = {
        let mut status = Status::resource_exhausted("busy");
        status.metadata_mut().insert("grpc-retry-pushback-ms", "1".parse().unwrap());
        status
    };
    let server =
        BadServer::start(move |number| if number % 2 == 0 { Deed::Refuse(shed.clone()) } else { Deed::Answer });
    let server = server.await;
    let client = client_of(&[&server]).await;
    let calls = 1_000;
    for _ in 0..calls {
        let _ = client.users().get_user(ada()).await;
    }
    let sent = server.seen().len();
    assert!(sent * 10 <= calls * 12, "{sent} attempts for {calls} calls");
}

#[tokio::test]
async fn the_breaker_opens_and_closes() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let server = BadServer::start(move |_| if is_broken.load(Relaxed) { unavailable() } else { Deed::Answer }).await;
    let builder = Client::builder().endpoint(server.addr.to_string()).retry(RetryPolicy::never());
    let client = builder.connect().await.unwrap();
    for _ in 0..20 {
        client.users().get_user(ada()).await.unwrap_err();
    }
    let open = server.seen().len();
    assert_eq!(open, 5, "then nothing is sent");
    broken.store(false, Relaxed);
    // It says itself when it asks again.
    let started = Instant::now();
    while client.users().get_user(ada()).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "the breaker does not close");
        tokio::task::yield_now().await;
    }
    assert_eq!(server.seen().len(), open + 1, "one probe was enough");
    for _ in 0..10 {
        client.users().get_user(ada()).await.unwrap();
    }
}

#[tokio::test]
async fn with_two_of_three_servers_dead_every_call_succeeds_in_time() {
    let good = BadServer::start(|_| Deed::Answer).await;
    let number = AtomicUsize::new(0);
    let bad = BadServer::start(move |_| match number.fetch_add(1, Relaxed) % 3 {
        0 => Deed::Hang,
        1 => Deed::Reset,
        _ => Deed::Drop,
    })
    .await;
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let builder = [good.addr, bad.addr, gone].iter().fold(Client::builder(), |b, addr| b.endpoint(addr.to_string()));
    let client = builder.deadline(Duration::from_secs(4)).connect().await.unwrap();
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let client = client.clone();
        calls.spawn(async move {
            let mut request = Request::new(ada());
            request.metadata_mut().insert("x-request-id", format!("call-{number}").parse().unwrap());
            client.users().get_user(request).await
        });
        if number % 20 == 19 {
            while let Some(outcome) = calls.join_next().await {
                outcome.unwrap().unwrap();
            }
        }
    }
    let sent = good.seen().len() + bad.seen().len();
    assert!(sent * 10 <= 200 * 12, "{sent} attempts for 200 calls");
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_gets_no_more_calls() {
    let (first, second) = (Server::dev(), Server::dev());
    let builder = Client::builder().endpoint(first.addr().to_string()).endpoint(second.addr().to_string());
    let client = builder.connect().await.unwrap();
    let list = || async {
        let list = ListUsersRequest::default();
        client.users().list_users(list).await.unwrap().into_inner().message().await
    };
    for _ in 0..10 {
        list().await.unwrap();
    }
    first.shutdown();
    for _ in 0..50 {
        list().await.unwrap();
    }
    first.ended().await;
    for _ in 0..50 {
        list().await.unwrap();
    }
}
