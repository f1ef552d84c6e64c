//! Lists and searches from a real standby: caught up, held back, frozen, promoted, gone.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use roster_server::{
    metrics::Page,
    model::Staleness,
    store::{
        StaleReads as _, Store as _,
        postgres::{PostgresOptions, PostgresStore},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::Client;
use url::Url;

use crate::{
    postgres::{Cluster, alone, connect, named, options},
    store::{create, everybody, user},
};

/// A primary, its standby, and a store that knows both.
struct Pair {
    store: PostgresStore,
    standby: Cluster,
    /// The database there.
    replica: Url,
    _primary: Cluster,
}

impl Pair {
    async fn start() -> Self {
        let start = || {
            let (primary, url) = alone();
            let standby = primary.standby().unwrap();
            let replica = named(&standby.url, "alone");
            let replicas = Some(replica.as_str().parse().unwrap());
            let store = PostgresStore::open(PostgresOptions { replicas, ..options(url.as_str()) }).unwrap();
            Self { store, standby, replica, _primary: primary }
        };
        let pair = tokio::task::spawn_blocking(start).await.unwrap();
        create(&pair.store, &user("first")).await.unwrap();
        pair
    }

    /// The names of all users, as a call sees them that says how old they may be.
    async fn names_within(&self, staleness: Duration) -> Vec<String> {
        let staleness = Staleness::of(staleness);
        let listed = self.store.list_users_within(everybody(), staleness).await.unwrap();
        let (found, total) = self.store.search_users_within(everybody(), 1_000, staleness).await.unwrap();
        assert_eq!(found.len(), usize::try_from(total).unwrap());
        listed.iter().map(|user| user.user().unwrap().username).collect()
    }

    /// How many reads a replica has done, how many found none that had come so far, and how many none to be used.
    fn counts(&self) -> [u64; 3] {
        let mut page = Page::default();
        self.store.report(&mut page);
        let text = page.into_text();
        ["used", "behind", "failed"].map(|outcome| {
            let start = format!("roster_store_replica_reads_total{{outcome=\"{outcome}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
        })
    }

    /// Reads until a replica has done for it.
    async fn until_used(&self, staleness: Duration) -> Vec<String> {
        loop {
            let [used, ..] = self.counts();
            let names = self.names_within(staleness).await;
            if self.counts()[0] == used + 2 {
                return names;
            }
        }
    }

    /// Its folder, for what is done to its processes.
    fn folder(&self) -> &Path {
        &self.standby.guard.as_ref().unwrap().folder
    }
}

const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_secs(1);

/// Waits for time to pass, while others work.
async fn pass(since: Instant, time: Duration) {
    while since.elapsed() < time {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_standby_shows_no_more_than_is_allowed_and_an_idle_primary_makes_none_old() {
    let pair = Pair::start().await;
    let replica = connect(&pair.replica).await.unwrap();
    assert_eq!(pair.until_used(SHORT).await, ["first"]);
    // Nothing is written for longer than the call allows: what the standby has is as good as ever.
    pass(Instant::now(), 2 * SHORT).await;
    assert_eq!(pair.until_used(SHORT).await, ["first"]);
    // Whoever says nothing, or that nothing may be old, asks the primary.
    let before = pair.counts();
    assert_eq!(pair.names_within(Duration::ZERO).await, ["first"]);
    assert_eq!(pair.counts(), before);

    replica.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    until_paused(&replica).await;
    create(&pair.store, &user("second")).await.unwrap();
    let created = Instant::now();
    assert_eq!(pair.store.list_users(everybody()).await.unwrap().len(), 2);
    assert_eq!(pair.until_used(LONG).await, ["first"], "an hour is allowed");
    pass(created, SHORT + Duration::from_millis(1)).await;
    for _ in 0..20 {
        assert_eq!(pair.names_within(SHORT).await, ["first", "second"]);
    }
    assert!(pair.counts()[1] > before[1]);
    assert_eq!(pair.names_within(LONG).await, ["first"], "it is still good for who allows more");
    replica.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    assert_eq!(pair.until_used(SHORT).await, ["first", "second"]);
    pair.store.close().await;
}

async fn until_paused(replica: &Client) {
    const SQL: &str = "SELECT pg_get_wal_replay_pause_state()";
    while replica.query_one(SQL, &[]).await.unwrap().get::<_, String>(0) != "paused" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_a_standby_shows_all_that_was_answered_before_what_is_allowed() {
    let pair = Pair::start().await;
    pair.until_used(SHORT).await;
    let answered = std::sync::Mutex::new(Vec::new());
    let write = async {
        for number in 0..150 {
            create(&pair.store, &user(&format!("user{number}"))).await.unwrap();
            answered.lock().unwrap().push(Instant::now());
        }
        // Until the last of them must be there.
        pass(Instant::now(), SHORT).await;
    };
    let read = async {
        loop {
            let earliest = Instant::now() - SHORT;
            let needed = answered.lock().unwrap().iter().filter(|when| **when < earliest).count();
            let shown = pair.names_within(SHORT).await.len() - 1;
            assert!(shown >= needed, "{shown} were shown and {needed} were answered before");
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    assert!(pair.counts()[0] > 2, "{:?}", pair.counts());
    pair.store.close().await;
}

#[tokio::test]
async fn a_standby_that_is_frozen_or_gone_costs_nothing_but_a_look() {
    let pair = Pair::start().await;
    let replica = connect(&pair.replica).await.unwrap();
    pair.until_used(LONG).await;
    let mut frozen = processes(&replica).await;
    let postmaster = fs::read_to_string(pair.folder().join("data/postmaster.pid")).unwrap();
    frozen.push(pid(postmaster.lines().next().unwrap().parse().unwrap()));
    frozen.iter().for_each(|pid| kill_process(*pid, Signal::STOP).unwrap());
    create(&pair.store, &user("second")).await.unwrap();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(pair.names_within(LONG).await, ["first", "second"]);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(pair.counts()[2] > 0);
    frozen.iter().for_each(|pid| kill_process(*pid, Signal::CONT).unwrap());
    pair.until_used(LONG).await;

    // All at once, as a machine that loses power.
    let all = processes(&replica).await;
    let calls = async {
        for _ in 0..100 {
            assert_eq!(pair.names_within(LONG).await.len(), 2);
        }
    };
    let kill = async {
        kill_process(frozen[frozen.len() - 1], Signal::KILL).unwrap();
        // Some of them end by themselves as soon as that one is gone.
        for pid in &all {
            let _ = kill_process(*pid, Signal::KILL);
        }
    };
    tokio::join!(calls, kill);
    assert_eq!(pair.names_within(LONG).await, ["first", "second"]);
    pair.store.close().await;
}

/// The server's processes that serve stores.
async fn processes(server: &Client) -> Vec<Pid> {
    super::backends(server).await.into_iter().map(pid).collect()
}

fn pid(number: i32) -> Pid {
    Pid::from_raw(number).unwrap()
}

#[tokio::test]
async fn a_standby_that_was_promoted_is_none_any_more() {
    let pair = Pair::start().await;
    let replica = connect(&pair.replica).await.unwrap();
    pair.until_used(LONG).await;
    replica.batch_execute("SELECT pg_promote()").await.unwrap();
    let url = pair.replica.clone();
    let other = tokio::task::spawn_blocking(move || PostgresStore::open(options(url.as_str())).unwrap()).await.unwrap();
    create(&other, &user("elsewhere")).await.unwrap();
    create(&pair.store, &user("second")).await.unwrap();
    let [used, ..] = pair.counts();
    for _ in 0..20 {
        assert_eq!(pair.names_within(LONG).await, ["first", "second"]);
    }
    assert_eq!(pair.counts()[0], used);
    other.close().await;
    pair.store.close().await;
}

#[tokio::test]
async fn a_server_starts_without_its_replicas() {
    let (_cluster, url) = tokio::task::spawn_blocking(alone).await.unwrap();
    let nowhere = "postgres://roster@127.0.0.1:1,127.0.0.1:2/alone?connect_timeout=1".parse().unwrap();
    let store = PostgresStore::open(PostgresOptions { replicas: Some(nowhere), ..options(url.as_str()) }).unwrap();
    create(&store, &user("ada")).await.unwrap();
    for _ in 0..10 {
        assert_eq!(store.list_users_within(everybody(), Staleness::of(LONG)).await.unwrap().len(), 1);
    }
    store.close().await;
}
