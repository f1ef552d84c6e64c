//! SIGTERM: the world is told first, calls in flight finish, nothing holds the process beyond its grace period.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use roster_api::{
    client::Transport,
    user::v1::{CreateUserRequest, HealthCheckRequest, User, user_service_client::UserServiceClient},
};
use tokio::task::JoinHandle;
use tonic::{Code, Response, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest as WatchRequest, health_client::HealthClient};

use crate::{
    database::{assert_consistent, open_copy, users},
    server::{Server, new_user, serve},
};

/// What a stop may take beyond what it waits for, on a slow machine in a debug build.
const MOMENT: Duration = Duration::from_secs(5);
/// `tonic_health`'s number for it.
const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

/// Passwords are hashed by one thread, so that some are in flight for a while.
fn slow_server(folder: &Path) -> Server {
    Server::start(serve(folder).env("ROSTER_HASH_THREADS", "1"))
}

/// Sends `count` calls that hash a password each, and returns once the server has them.
async fn calls_in_flight(
    users: &mut UserServiceClient<Transport>,
    count: usize,
) -> Vec<JoinHandle<Result<Response<User>, Status>>> {
    let call = |number: usize| {
        let mut users = users.clone();
        let request = CreateUserRequest { password: "correct horse".into(), ..new_user(&format!("user-{number}")) };
        tokio::spawn(async move { users.create_user(request).await })
    };
    let calls = (0..count).map(call).collect();
    // On one connection the server takes calls in the order in which they come.
    tokio::task::yield_now().await;
    users.health_check(HealthCheckRequest {}).await.unwrap();
    calls
}

#[tokio::test]
async fn calls_in_flight_finish_and_health_says_so_first() {
    const CALLS: usize = 16;
    let folder = tempfile::tempdir().unwrap();
    let server = slow_server(folder.path());
    let channel = Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    let request = WatchRequest { service: "user.v1.UserService".into() };
    let mut watch = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, SERVING);

    let mut client = server.client().await;
    let calls = calls_in_flight(&mut client, CALLS).await;
    server.terminate();
    assert_eq!(watch.message().await.unwrap().unwrap().status, NOT_SERVING);
    assert!(!calls[CALLS - 1].is_finished(), "health changes before the last call is answered");
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // The watch has no end of its own, and must not keep the server.
    let end = watch.message().await;
    assert!(matches!(&end, Ok(None)) || end.as_ref().is_err_and(|e| e.code() == Code::Unavailable), "{end:?}");

    let ended = server.ended().await.with_code(0);
    assert!(ended.err.contains("\"message\":\"stopped\""), "{ended:#?}");
    let log = fs::metadata(folder.path().join("roster.db-wal"));
    assert!(log.is_err() || log.unwrap().len() == 0, "all is in the database itself");
    let copy = tempfile::tempdir().unwrap();
    let database = open_copy(folder.path(), copy.path());
    assert_consistent(&database);
    assert_eq!(users(&database).values().filter(|user| user.has_password).count(), CALLS);
}

#[tokio::test]
async fn new_connections_are_refused_while_calls_finish() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = slow_server(folder.path());
    let calls = calls_in_flight(&mut server.client().await, 16).await;
    server.terminate();
    server.await_message("draining").unwrap();
    // The listener closes with the drain, which begins in these moments.
    while TcpStream::connect(&server.grpc).is_ok() {
        assert!(!calls[15].is_finished(), "the port is open to the end");
        tokio::task::yield_now().await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    server.ended().await.with_code(0);
}

#[test]
fn idle_and_mute_connections_hold_nobody() {
    let grace = Duration::from_millis(500);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Server::start(serve(folder.path()).env("ROSTER_DRAIN_GRACE_MS", grace.as_millis().to_string()));
    let mut mute = TcpStream::connect(&server.grpc).unwrap();
    let mut half = TcpStream::connect(&server.grpc).unwrap();
    std::io::Write::write_all(&mut half, b"PRI * HTTP/2.0").unwrap();
    let mut idle = runtime.block_on(server.client());
    runtime.block_on(idle.health_check(HealthCheckRequest {})).unwrap();
    // A client that is frozen, as its runtime does not run: it never hears that it is to go.
    let frozen = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _frozen = frozen.block_on(server.client());

    let start = Instant::now();
    server.stop();
    assert!(start.elapsed() < grace + MOMENT, "{:?}", start.elapsed());
    assert_eq!(std::io::Read::read(&mut mute, &mut [0]).unwrap_or(0), 0, "closed");
}

#[tokio::test]
async fn a_second_signal_cuts_the_drain_short_and_loses_nothing() {
    const CALLS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let mut server = slow_server(folder.path());
    let mut client = server.client().await;
    let calls = calls_in_flight(&mut client, CALLS).await;
    server.terminate();
    server.await_message("draining").unwrap();
    let start = Instant::now();
    server.terminate();
    let mut acknowledged = Vec::new();
    for call in calls {
        match call.await.unwrap() {
            Ok(user) => acknowledged.push(user.into_inner().id),
            Err(status) => {
                assert!([Code::Unavailable, Code::Cancelled, Code::Unknown].contains(&status.code()), "{status:?}")
            }
        }
    }
    server.ended().await.with_code(0);
    assert!(start.elapsed() < MOMENT, "{:?}", start.elapsed());
    assert!(acknowledged.len() < CALLS, "nothing was left to cut");

    let copy = tempfile::tempdir().unwrap();
    let database = open_copy(folder.path(), copy.path());
    assert_consistent(&database);
    let stored = users(&database);
    assert!(acknowledged.iter().all(|id| stored.contains_key(id)));
}
