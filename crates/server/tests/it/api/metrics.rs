//! `/metrics`: what it tells is what happened, and `docs/metrics.md` tells of all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use roster_api::{
    auth::v1::SignInRequest,
    user::v1::{GetUserRequest, SendVerificationEmailRequest, WatchUsersRequest},
};
use roster_server::{metrics, model::Rate};
use tonic::Code;

use crate::harness::{Server, create_all};

/// The samples of a page by name and labels, and the families that it has.
pub(super) struct Scraped {
    samples: BTreeMap<String, f64>,
    families: BTreeSet<String>,
}

impl Scraped {
    pub(super) async fn of(server: &Server) -> Self {
        let answer = server.http_get("/metrics").await;
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self { samples: samples.collect(), families: families.map(str::to_owned).collect() }
    }

    pub(super) fn get(&self, name: &str) -> f64 {
        *self.samples.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.samples.keys()))
    }
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = metrics::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/metrics.md is out of date: UPDATE_DOCS=1 cargo test -p roster-server --test it metrics"
    );
}

#[tokio::test]
async fn a_server_tells_what_it_did_and_every_family_of_the_reference() {
    let server = Server::dev();
    let mut users = server.users().await;
    let ada = create_all(&mut users, &["ada"]).await.remove(0);
    for user_id in [ada.id.as_str(), &ada.id, "nobody"] {
        let _ = users.get_user(GetUserRequest { user_id: user_id.into() }).await;
    }
    let wrong = SignInRequest { login: "ada@example.com".into(), password: "not the one".into(), ..Default::default() };
    assert_eq!(server.auth().await.sign_in(wrong).await.unwrap_err().code(), Code::Unauthenticated);

    let page = Scraped::of(&server).await;
    let mut known: BTreeSet<_> = metrics::names::ALL.iter().map(|metric| metric.name.to_owned()).collect();
    assert!(known.remove("roster_certificate_expires_timestamp_seconds"), "this server has no certificate");
    assert!(known.remove("roster_store_replica_reads_total"), "this server has no replicas");
    known.retain(|name| !name.starts_with("roster_redis_"));
    assert_eq!(page.families, known);
    const USERS: &str = "service=\"user.v1.UserService\"";
    let calls = |method: &str, code: &str| format!("roster_calls_total{{{USERS},method=\"{method}\",code=\"{code}\"}}");
    assert_eq!(page.get(&calls("GetUser", "OK")), 2.0);
    assert_eq!(page.get(&calls("GetUser", "NOT_FOUND")), 1.0);
    assert_eq!(page.get(&calls("CreateUser", "OK")), 1.0);
    assert_eq!(page.get(&format!("roster_call_duration_seconds_count{{{USERS},method=\"GetUser\"}}")), 3.0);
    assert_eq!(page.get(&format!("roster_calls_in_flight{{{USERS},method=\"GetUser\"}}")), 0.0);
    assert_eq!(page.get("roster_sign_ins_total{outcome=\"failed\"}"), 1.0);
    assert_eq!(page.get("roster_sign_in_failures_total{reason=\"no_password\"}"), 1.0);
    assert_eq!(page.get("roster_hash_duration_seconds_count"), 1.0);
    assert_eq!(page.get("roster_store_command_duration_seconds_count{command=\"CreateUser\"}"), 1.0);
    assert_eq!(page.get("roster_connections_accepted_total{port=\"grpc\"}"), 2.0);
    assert!(page.get("roster_change_log_position") >= 1.0);
    assert!(page.get("roster_store_wal_bytes") > 4_096.0);
    assert!(page.get("roster_store_disk_free_bytes") > 0.0);
    assert_eq!(page.get("roster_store_queue_capacity{queue=\"write\"}"), 4_096.0);
    assert_eq!(page.get("roster_store_queue_length{queue=\"scan\"}"), 0.0);
    assert!(page.get("process_resident_memory_bytes") > 1e6);
    assert!(page.get("process_start_time_seconds") > 1.7e9);
}

#[tokio::test]
async fn refusals_by_rate_and_unknown_methods_are_counted_by_names_of_ours_alone() {
    let server = Server::start(|config| config.rates.read = Rate { per_minute: 1, burst: 1 });
    let mut users = server.users().await;
    for _ in 0..3 {
        let _ = users.get_user(GetUserRequest { user_id: "nobody".into() }).await;
    }
    let unknown = crate::harness::grpc("/made.Up/Method", &[]);
    server.wire().await.send(unknown).await;
    let page = Scraped::of(&server).await;
    assert_eq!(page.get("roster_calls_limited_total{class=\"read\"}"), 2.0);
    assert_eq!(page.get("roster_calls_refused_total{reason=\"RATE_LIMITED\"}"), 2.0);
    let unknown = "roster_calls_total{service=\"unknown\",method=\"unknown\",code=\"UNIMPLEMENTED\"}";
    assert_eq!(page.get(unknown), 1.0);
    assert!(page.samples.keys().all(|name| !name.contains("made")));
}

#[tokio::test]
async fn watchers_and_presence_are_told_with_how_far_behind_they_are() {
    let server = Server::start(|config| config.watchers_max = 1);
    let mut users = server.users().await;
    let watch = || WatchUsersRequest::default();
    let mut stream = users.watch_users(watch()).await.unwrap().into_inner();
    assert_eq!(users.watch_users(watch()).await.unwrap_err().code(), Code::ResourceExhausted);
    create_all(&mut users, &["ada", "bea"]).await;
    // The greeting, and two users: then it is where the log is.
    for _ in 0..3 {
        stream.message().await.unwrap().unwrap();
    }
    let presence = roster_api::NotificationClient::over(&server.client().await).stay("ada/phone").await.unwrap();
    let page = Scraped::of(&server).await;
    assert_eq!((page.get("roster_watchers"), page.get("roster_watchers_refused_total")), (1.0, 1.0));
    assert_eq!(page.get("roster_watch_ring_changes"), 2.0);
    assert!(page.get("roster_watch_ring_bytes") > 100.0);
    assert!(page.get("roster_watch_lag_changes{share=\"1\"}") <= 2.0);
    assert_eq!((page.get("roster_presence_streams"), page.get("roster_presence_clients")), (1.0, 1.0));
    drop((stream, presence));
    // The server hears of it in its own time.
    while Scraped::of(&server).await.get("roster_watches_ended_total{reason=\"client\"}") < 1.0 {
        tokio::task::yield_now().await;
    }
    let page = Scraped::of(&server).await;
    assert_eq!(page.get("roster_watch_lag_changes{share=\"1\"}"), 0.0);
}

#[tokio::test]
async fn mails_that_wait_are_counted_with_the_age_of_the_oldest() {
    // Nothing listens there any more, so the mail is put off.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let set = super::mail::sending_to(gone);
    let server = Server::start(|config| {
        set(config);
        config.mail_retry = std::time::Duration::from_hours(1);
    });
    let mut users = server.users().await;
    create_all(&mut users, &["ada"]).await;
    let ask = SendVerificationEmailRequest { email: "ada@example.com".into() };
    users.send_verification_email(ask).await.unwrap();
    while Scraped::of(&server).await.get("roster_mail_waiting") < 1.0 {
        tokio::task::yield_now().await;
    }
    let page = Scraped::of(&server).await;
    assert!(page.get("roster_mail_oldest_seconds") > 0.0);
}
