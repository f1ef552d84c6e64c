//! Too much to do: what would not be done in time is refused before it begins, what is vital goes on, and nothing is left
//! behind.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request};
use prost::Message as _;
use roster_api::{
    auth::v1::SignInRequest,
    user::v1::{GetUserRequest, HealthCheckRequest, SearchUsersRequest, WatchUsersRequest},
};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_health::pb::health_client::HealthClient;

use super::{api_keys::create_key, metrics::Scraped};
use crate::harness::{Problem, Server, as_bearer, create_all, grpc, on_postgres, problem, with_email};

/// More sign-ins than a thread hashes within the shortest wait that can be set.
const STORM: usize = 64;
/// Nothing is ever done so soon that it could not wait for this long.
const ONE_MS: Duration = Duration::from_millis(1);

fn refused(class: &str, cause: &str) -> String {
    format!("roster_admission_refused_total{{class=\"{class}\",cause=\"{cause}\"}}")
}

fn sign_in() -> SignInRequest {
    SignInRequest { login: "nobody@example.com".into(), password: "not the one".into(), ..Default::default() }
}

/// Many sign-ins at once; how each ended.
async fn storm(server: &Server) -> Vec<Status> {
    let auth = server.auth().await;
    let mut calls = JoinSet::new();
    for _ in 0..STORM {
        let mut auth = auth.clone();
        calls.spawn(async move { auth.sign_in(sign_in()).await.unwrap_err() });
    }
    calls.join_all().await
}

#[tokio::test]
async fn a_storm_of_sign_ins_is_shed_by_what_waits_and_the_rest_goes_on() {
    let server = Server::start(|config| {
        config.queue_wait_max = ONE_MS;
        config.sign_in_free_failures = 1_000_000;
        config.sign_in_free_failures_per_address = 1_000_000;
    });
    let mut users = server.users().await;
    let ada = create_all(&mut users, &["ada"]).await.remove(0);
    // What a hash takes is known from the first one on.
    assert_eq!(problem(server.auth().await.sign_in(sign_in()).await).reason, "SIGN_IN_FAILED");

    let ended = storm(&server).await;
    let is_done = |status: &Status| Problem::of(status).reason == "SIGN_IN_FAILED";
    let (done, shed): (Vec<_>, Vec<_>) = ended.into_iter().partition(is_done);
    assert!(!done.is_empty() && !shed.is_empty(), "{} done, {} shed", done.len(), shed.len());
    for status in &shed {
        let problem = Problem::of(status);
        assert_eq!(problem.kind(), (Code::ResourceExhausted, "HASHING_BUSY"));
        let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
        let wait = problem.retry_after.unwrap();
        assert!(wait > ONE_MS && Duration::from_millis(pushback.parse().unwrap()) >= wait, "{status:?}");
    }
    // Others wait for nothing, and are refused nothing.
    users.get_user(GetUserRequest { user_id: ada.id }).await.unwrap();
    users.create_user(with_email("bea@example.com")).await.unwrap();
    users.search_users(SearchUsersRequest { query: "a".into(), ..Default::default() }).await.unwrap();

    // By the headers, or, where a crowd came in one piece, before the hash.
    let page = Scraped::of(&server).await;
    let by_pool = page.get("roster_hash_refused_total");
    assert_eq!(page.get(&refused("hash", "queue")) + by_pool, shed.len() as f64);
    assert_eq!(page.get(&refused("read", "worker")) + page.get(&refused("write", "queue")), 0.0);
}

#[tokio::test]
async fn what_cannot_be_done_by_its_deadline_is_refused_at_once() {
    let server = Server::start(|config| {
        config.queue_wait_max = Duration::from_secs(3_600);
        config.sign_in_free_failures = 1_000_000;
        config.sign_in_free_failures_per_address = 1_000_000;
    });
    assert_eq!(problem(server.auth().await.sign_in(sign_in()).await).reason, "SIGN_IN_FAILED");
    // Hashes that nobody has asked to be done soon.
    let server = Arc::new(server);
    let patient = tokio::spawn({
        let server = Arc::clone(&server);
        async move { storm(&server).await }
    });
    // One thread hashes, so once two wait, a hash is further away than the deadline.
    while Scraped::of(&server).await.get("roster_hash_queue_length") < 2.0 {
        assert!(!patient.is_finished(), "the queue was never seen");
    }
    let wire = server.wire().await;
    let mut hurried = grpc("/auth.v1.AuthService/SignIn", &sign_in().encode_to_vec());
    hurried.headers_mut().insert("grpc-timeout", HeaderValue::from_static("1m"));
    let hurried = Problem::of(&wire.send(hurried).await.status());
    assert_eq!(hurried.kind(), (Code::ResourceExhausted, "HASHING_BUSY"));
    assert!(hurried.retry_after.unwrap() > ONE_MS, "{hurried:?}");
    let patient = patient.await.unwrap();
    assert!(patient.iter().all(|status| Problem::of(status).reason == "SIGN_IN_FAILED"));
    assert_eq!(Scraped::of(&server).await.get(&refused("hash", "deadline")), 1.0);
}

#[tokio::test]
async fn streams_take_nothing_of_the_limit_and_places_come_back() {
    let server = Server::dev();
    let mut users = server.users().await;
    let idle = Scraped::of(&server).await;
    let mut watches = Vec::new();
    for _ in 0..50 {
        watches.push(users.watch_users(WatchUsersRequest::default()).await.unwrap().into_inner());
    }
    let mut health = HealthClient::new(server.channel().await);
    let mut watch = health.watch(tonic_health::pb::HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    for number in 0..50 {
        users.create_user(with_email(&format!("user{number}@example.com"))).await.unwrap();
        problem(users.get_user(GetUserRequest { user_id: "absent".into() }).await);
    }
    users.health_check(HealthCheckRequest {}).await.unwrap();
    let page = Scraped::of(&server).await;
    assert_eq!(page.get("roster_admission_waiting"), 0.0);
    assert_eq!(page.get("roster_admission_limit"), idle.get("roster_admission_limit"));
    drop((watches, watch));
}

/// More calls than may wait for a worker, in one go. How many of them do wait is up to the scheduler.
const CROWD: usize = 3_000;

/// A server with a single worker, and with patience for it: behind a crowd it may not read the answer to a ping for long.
fn before_one_worker() -> Server {
    Server::start(|config| {
        config.workers = 1;
        config.max_streams_per_connection = 100_000;
        config.keepalive_interval = Duration::from_secs(3_600);
    })
}

/// Makes so many calls, each of which is refused by the worker or for this reason; how many the worker refuses.
async fn crowd(server: &Server, call: impl Fn(usize) -> Request<Bytes>, otherwise: &str) -> usize {
    let wire = server.wire().await;
    // The server's settings have come with the first answer.
    assert_eq!(Problem::of(&wire.send(call(CROWD)).await.status()).reason, otherwise);
    let mut client = wire.client().await.unwrap();
    let mut answers = Vec::new();
    for number in 0..CROWD {
        let (head, body) = call(number).into_parts();
        let (answer, mut upload) = client.send_request(Request::from_parts(head, ()), false).unwrap();
        upload.send_data(body, true).unwrap();
        answers.push(answer);
    }
    let mut shed = 0;
    for answer in answers {
        let answer = answer.await.unwrap();
        let Some(status) = Status::from_header_map(answer.headers()) else { panic!("no status: {answer:?}") };
        let problem = Problem::of(&status);
        if problem.reason == "OVERLOADED" {
            shed += 1;
            assert_eq!(problem.code, Code::Unavailable);
            let pushback = answer.headers()["grpc-retry-pushback-ms"].to_str().unwrap();
            assert!(Duration::from_millis(pushback.parse().unwrap()) >= problem.retry_after.unwrap(), "{problem:?}");
        } else {
            assert_eq!(problem.reason, otherwise);
        }
    }
    shed
}

#[tokio::test]
async fn a_crowd_before_one_worker_is_answered_and_leaves_nothing_behind() {
    let server = before_one_worker();
    let shed = crowd(&server, |_| grpc("/user.v1.UserService/GetUser", b""), "VALIDATION_FAILED").await;
    assert!(shed < CROWD, "the first of them is let in");
    let page = Scraped::of(&server).await;
    assert_eq!(page.get(&refused("read", "worker")), shed as f64);
    assert_eq!(page.get("roster_admission_waiting"), 0.0);
    assert_eq!(problem(server.users().await.get_user(GetUserRequest::default()).await).reason, "VALIDATION_FAILED");
}

#[test]
fn a_deadline_does_not_wait_for_a_slow_look_at_new_credentials() {
    on_postgres(hurried_past_a_slow_look);
}

#[tokio::main(flavor = "current_thread")]
async fn hurried_past_a_slow_look() {
    let server = Server::dev();
    let (_, key) = create_key(&server, &["users.read"]).await;
    let database = server.postgres().connect().await;
    // Whoever looks at the key waits for this to end.
    database.batch_execute("BEGIN; LOCK TABLE api_keys").await.unwrap();
    let message = GetUserRequest { user_id: "nobody".into() }.encode_to_vec();
    let call = || as_bearer(grpc("/user.v1.UserService/GetUser", &message), &key);
    let mut hurried = call();
    hurried.headers_mut().insert("grpc-timeout", HeaderValue::from_static("5m"));
    let wire = server.wire().await;
    let late = Problem::of(&wire.send(hurried).await.status());
    assert_eq!(late.kind(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    // It takes nothing of the limit either, like all that have taken their first step.
    assert_eq!(Scraped::of(&server).await.get("roster_admission_waiting"), 0.0);
    let (patient, end) = tokio::join!(wire.send(call()), database.batch_execute("ROLLBACK"));
    end.unwrap();
    assert_eq!(Problem::of(&patient.status()).reason, "USER_NOT_FOUND");
}
