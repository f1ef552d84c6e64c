//! What is left when the database ends sessions, and when callers go.

use roster_server::store::{
    AnswerStore as _, FeedStore as _, NewUser, Store as _, StoreError, postgres::PostgresStore,
};
use tokio_postgres::Client;

use super::{node, until_blocked};
use crate::{
    postgres::{Cluster, Database, connect, options},
    store::{
        create,
        idempotency::{call, with},
        join_all, meta, user,
    },
};

const EVERYBODY_ELSE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

#[tokio::test]
async fn a_retry_gets_through_however_often_sessions_are_ended() {
    let database = Database::new();
    let (store, killer) = (node(&database), database.connect().await);
    let users: Vec<_> = (0..64).map(|number| user(&format!("user{number}"))).collect();
    let create_surely = async |number: usize| {
        let key = call(&format!("key{number}"), "request");
        loop {
            let new = NewUser { user: users[number].clone(), password_hash: None, mail: None };
            match store.create_user(new, with(&key)).await {
                Ok(_) | Err(StoreError::KeyUsed) => return,
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let kill = async {
        for _ in 0..20 {
            killer.execute(EVERYBODY_ELSE, &[]).await.unwrap();
        }
    };
    tokio::join!(join_all((0..users.len()).map(create_surely)), kill);
    // Reads mend their connections by themselves.
    killer.execute(EVERYBODY_ELSE, &[]).await.unwrap();
    for user in &users {
        assert_eq!(store.find_user(&user.id).await.unwrap().unwrap().user().unwrap(), *user);
    }
    let changes = store.list_changes(0, 1_000).await.unwrap().changes;
    assert_eq!(changes.len(), users.len(), "each is there once");
    assert!(changes.iter().zip(1..).all(|(change, position)| change.position == position));
    store.close().await;
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_cancelled() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    let ada = create(&store, &user("ada")).await.unwrap();
    holder.batch_execute("BEGIN; SELECT FROM users FOR UPDATE").await.unwrap();
    // More of them than there are connections: each gives its own back.
    for _ in 0..20 {
        tokio::select! {
            deleted = store.delete_user(ada.id.clone(), None, meta()) => panic!("the row is locked: {deleted:?}"),
            () = until_blocked(&observer, 1) => {}
        }
        until_blocked(&observer, 0).await;
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert!(store.find_user(&ada.id).await.unwrap().is_some());
    store.delete_user(ada.id, None, meta()).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_primary_that_takes_no_writes_any_more_is_left() {
    let database = Database::new();
    let (store, owner) = (node(&database), database.connect().await);
    create(&store, &user("before")).await.unwrap();
    let set = |value: &str| {
        format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {value}', current_database());
             END $$"
        )
    };
    owner.batch_execute(&set("on")).await.unwrap();
    owner.execute(EVERYBODY_ELSE, &[]).await.unwrap();
    let refused = create(&store, &user("during")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    owner.batch_execute(&format!("SET default_transaction_read_only = off; {}", set("off"))).await.unwrap();
    owner.execute(EVERYBODY_ELSE, &[]).await.unwrap();
    create(&store, &user("after")).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_prepared_leaves_no_transaction_behind() {
    let database = Database::new();
    let (before, owner) = (node(&database), database.connect().await);
    let ada = create(&before, &user("ada")).await.unwrap();
    before.close().await;
    let store = node(&database);
    owner.batch_execute("ALTER TABLE changes RENAME COLUMN reason TO cause").await.unwrap();
    // The user is found and locked; only what is sent with the commit fails.
    let failed = store.delete_user(ada.id.clone(), None, meta()).await;
    assert!(matches!(failed, Err(StoreError::Internal(_))), "{failed:?}");
    owner.batch_execute("ALTER TABLE changes RENAME COLUMN cause TO reason").await.unwrap();
    // On the same connection, since there is no other yet.
    store.delete_user(ada.id.clone(), None, meta()).await.unwrap();
    assert!(store.find_user(&ada.id).await.unwrap().is_none());
    store.close().await;
}

/// Waits until so many commits of commands wait for a standby.
async fn until_commits_wait(observer: &Client, commits: i64) {
    const SQL: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'";
    while observer.query_one(SQL, &[]).await.unwrap().get::<_, i64>(0) != commits {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_no_standby_has_yet_is_neither_shown_nor_acknowledged() {
    // A server of its own: its commits are to wait for a standby that is not there.
    let cluster = Cluster::start().unwrap();
    let store = PostgresStore::open(options(cluster.url.as_str())).unwrap();
    let owner = connect(&cluster.url).await.unwrap();
    let wait_for = async |standby: &str| {
        owner.batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'")).await.unwrap();
        owner.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    };
    wait_for("nobody").await;
    let mut number = 0;
    let (held, key) = loop {
        // The server takes the setting up when it gets to it.
        number += 1;
        let (user, key) = (user(&format!("user{number}")), call(&format!("key{number}"), "request"));
        let new = NewUser { user: user.clone(), password_hash: None, mail: None };
        tokio::select! {
            created = store.create_user(new, with(&key)) => drop(created.unwrap()),
            () = until_commits_wait(&owner, 1) => break (user, key),
        }
    };
    // Its caller has gone. What was sent is not cancelled, which would make it look done.
    for _ in 0..200 {
        assert_eq!(store.find_user(&held.id).await.unwrap(), None);
        assert_eq!(store.find_answer(key.id, meta().at).await.unwrap(), None);
    }
    // A person may end the wait. Then it is there for all to see, and is acknowledged only with a standby that has it.
    const CANCEL: &str =
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'";
    assert_eq!(owner.execute(CANCEL, &[]).await.unwrap(), 1);
    while store.find_user(&held.id).await.unwrap().is_none() {}
    tokio::select! {
        answered = store.find_answer(key.id, meta().at) => panic!("no standby has it: {answered:?}"),
        () = until_commits_wait(&owner, 1) => {}
    }
    wait_for("").await;
    assert!(store.find_answer(key.id, meta().at).await.unwrap().is_some());
    let again = NewUser { user: held, password_hash: None, mail: None };
    assert_eq!(store.create_user(again, with(&key)).await, Err(StoreError::KeyUsed));
    store.close().await;
}
