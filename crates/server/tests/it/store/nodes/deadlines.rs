//! What is left in the database of calls that are given up.

use std::{
    env,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use roster_server::{
    deadline,
    store::{NewUser, Store as _, postgres::PostgresStore},
};
use tokio::time::timeout_at;
use tokio_postgres::Client;

use super::{backends, blocked, node, until_blocked};
use crate::{
    postgres::{Database, alone, connect, options},
    store::{create, join_all, meta, user},
};

/// What holds every user until it is ended.
const HOLD: &str = "BEGIN; SELECT FROM users FOR UPDATE";

#[tokio::test]
async fn calls_that_are_given_up_again_and_again_cost_no_connection() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    let ada = create(&store, &user("ada")).await.unwrap();
    holder.batch_execute(HOLD).await.unwrap();
    // As many as there may be, so that there is nothing left to be made.
    let all = options(database.url()).connections_max;
    let give_up = async || {
        let calls = join_all((0..all).map(async |_| store.delete_user(ada.id.clone(), None, meta()).await));
        tokio::select! {
            _ = calls => panic!("the row is locked"),
            () = until_blocked(&observer, i64::try_from(all).unwrap()) => {}
        }
    };
    give_up().await;
    let before = backends(&observer).await;
    assert!(before.len() >= all, "{before:?}");
    for _ in 0..10 {
        until_blocked(&observer, 0).await;
        give_up().await;
    }
    until_blocked(&observer, 0).await;
    let after = backends(&observer).await;
    // Those that everybody shares are made when they are first used.
    assert!(after.is_superset(&before) && after.len() <= all + 4, "{before:?} {after:?}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    store.delete_user(ada.id, None, meta()).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn reads_that_are_given_up_are_cancelled_and_their_connections_are_good_for_others() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    create(&store, &user("ada")).await.unwrap();
    let list = async || store.list_users(crate::store::everybody()).await;
    for by in [None, Some(Duration::from_secs(20))] {
        holder.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
        for _ in 0..20 {
            let list = async {
                match by {
                    Some(by) => deadline::by(tokio::time::Instant::now() + by, list()).await,
                    None => list().await,
                }
            };
            tokio::select! {
                listed = list => panic!("the table is locked: {listed:?}"),
                () = until_blocked(&observer, 1) => {}
            }
            until_blocked(&observer, 0).await;
        }
        holder.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(list().await.unwrap().len(), 1);
    }
    store.close().await;
}

#[tokio::test]
async fn what_a_frozen_server_has_left_running_ends_by_itself() {
    let database = Database::new();
    let (holder, observer) = (database.connect().await, database.connect().await);
    let store = Arc::new(node(&database));
    let ada = create(&*store, &user("ada")).await.unwrap();
    holder.batch_execute(HOLD).await.unwrap();
    let began = Instant::now();
    let mut call = Box::pin({
        let (store, id) = (Arc::clone(&store), ada.id.clone());
        deadline::by(tokio::time::Instant::now() + Duration::from_millis(300), async move {
            store.delete_user(id, None, meta()).await
        })
    });
    tokio::select! {
        deleted = &mut call => panic!("the row is locked: {deleted:?}"),
        () = until_blocked(&observer, 1) => {}
    }
    // Nobody polls it any more, and nobody drops it.
    std::mem::forget(call);
    until_blocked(&observer, 0).await;
    let took = began.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&took), "{took:?}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert!(store.find_user(&ada.id).await.unwrap().is_some());
}

/// Where the process that is to be killed finds the database.
const DOOMED: &str = "ROSTER_TEST_DOOMED_NODE";

/// Plays both parts: the process that it starts runs this test too, and finds in its environment what to do.
#[tokio::test]
async fn a_long_statement_ends_with_the_server_that_wanted_it() {
    if let Ok(url) = env::var(DOOMED) {
        let store = PostgresStore::open(options(&url)).unwrap();
        let ada = store.find_user_by_email("ada@example.com").await.unwrap().unwrap().user().unwrap();
        let deleted = store.delete_user(ada.id, None, meta()).await;
        panic!("the row is locked: {deleted:?}");
    }
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    create(&store, &user("ada")).await.unwrap();
    holder.batch_execute(HOLD).await.unwrap();
    let name =
        format!("{}::a_long_statement_ends_with_the_server_that_wanted_it", module_path!().replacen("it::", "", 1));
    let mut doomed = Command::new(env::current_exe().unwrap());
    doomed.args(["--exact", &name]).env(DOOMED, database.url());
    let mut doomed = doomed.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until_blocked(&observer, 1).await;
    // SIGKILL.
    doomed.kill().unwrap();
    doomed.wait().unwrap();
    let killed = Instant::now();
    until_blocked(&observer, 0).await;
    // It could have waited for the lock ten seconds.
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    store.close().await;
}

async fn until_waiting_for_a_standby(observer: &Client, sessions: i64) {
    while waiting_for_a_standby(observer).await != sessions {
        tokio::task::yield_now().await;
    }
}

async fn waiting_for_a_standby(observer: &Client) -> i64 {
    const SQL: &str = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event = 'SyncRep' AND application_name = 'roster'";
    observer.query_one(SQL, &[]).await.unwrap().get(0)
}

/// Whoever is cancelled while it waits for a standby is told that it is done, and the standby does not have it.
#[tokio::test]
async fn a_commit_that_waits_for_a_standby_is_never_cancelled() {
    let (cluster, url) = tokio::task::spawn_blocking(alone).await.unwrap();
    let store = PostgresStore::open(options(url.as_str())).unwrap();
    let (owner, observer) = (connect(&url).await.unwrap(), connect(&url).await.unwrap());
    let standbys = async |names: &str| {
        // What the owner of this connection commits waits for no standby.
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        owner.batch_execute("SET synchronous_commit = off").await.unwrap();
        owner.batch_execute(&sql).await.unwrap();
        owner.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        const SHOW: &str = "SELECT current_setting('synchronous_standby_names')";
        while connect(&url).await.unwrap().query_one(SHOW, &[]).await.unwrap().get::<_, String>(0) != names {}
    };
    create(&store, &user("before")).await.unwrap();
    standbys("nobody").await;
    let mut number = 0;
    // The server needs a moment to have its commits wait.
    let ada = loop {
        number += 1;
        let ada = user(&format!("ada{number}"));
        let give_up = tokio::time::Instant::now() + Duration::from_millis(300);
        let new = NewUser { user: ada.clone(), password_hash: None, mail: None };
        if timeout_at(give_up, deadline::by(give_up, store.create_user(new, meta()))).await.is_err() {
            break ada;
        }
    };
    let given_up = Instant::now();
    until_waiting_for_a_standby(&observer, 1).await;
    // Long past its deadline, and past what cancellations take.
    while given_up.elapsed() < Duration::from_secs(2) {
        assert!(waiting_for_a_standby(&observer).await >= 1, "after {:?}", given_up.elapsed());
    }
    let before = backends(&observer).await;
    standbys("").await;
    until_waiting_for_a_standby(&observer, 0).await;
    assert_eq!(store.find_user(&ada.id).await.unwrap().unwrap().user().unwrap(), ada);
    create(&store, &user("after")).await.unwrap();
    assert!(backends(&observer).await.is_superset(&before));
    store.close().await;
    drop(cluster);
}

#[tokio::test]
async fn a_limit_ends_with_its_transaction() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    let ada = create(&store, &user("ada")).await.unwrap();
    let soon = tokio::time::Instant::now() + Duration::from_millis(200);
    deadline::by(soon, store.list_users(crate::store::everybody())).await.unwrap();
    deadline::by(soon, create(&store, &user("bea"))).await.unwrap();
    // On the same connection, for longer than those might have taken.
    holder.batch_execute(HOLD).await.unwrap();
    let began = Instant::now();
    let release = async {
        until_blocked(&observer, 1).await;
        while began.elapsed() < Duration::from_secs(1) {
            assert_eq!(blocked(&observer).await, 1);
        }
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    let (deleted, ()) = tokio::join!(store.delete_user(ada.id, None, meta()), release);
    deleted.unwrap();
    store.close().await;
}
