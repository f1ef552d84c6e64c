//! A standby that lacks the newest changes is promoted: nobody takes others for them.

use roster_server::{
    model::Timestamp,
    store::{FeedStore as _, LogTrim, POSITIONS_SKIPPED, Store as _, StoreError, UsersAt, postgres::PostgresStore},
};

use crate::{
    postgres::{Pair, options},
    store::{create, user},
};

/// Creates a user once there is a server again that takes writes.
async fn create_at_last(store: &PostgresStore, name: &str) {
    let user = user(name);
    loop {
        match create(store, &user).await {
            Ok(_) => return,
            Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Names and positions of all users' first changes.
async fn created_after(store: &PostgresStore, position: i64) -> Vec<(String, i64)> {
    let changes = store.list_changes(position, 100).await.unwrap().changes;
    let name = |user: &roster_server::store::StoredUser| user.user().unwrap().username;
    changes.iter().map(|change| (name(change.after.as_ref().unwrap()), change.position)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_a_lost_server_gave_alone_are_not_given_again() {
    let mut pair = Pair::start();
    let store = PostgresStore::open(options(pair.url())).unwrap();
    create(&store, &user("ada")).await.unwrap();
    assert_eq!(created_after(&store, 0).await, [("ada".into(), 1)]);
    pair.part().await;
    create(&store, &user("bea")).await.unwrap();
    create(&store, &user("cyn")).await.unwrap();
    let lost = store.moment(None).await.unwrap().position;
    assert_eq!(lost, 3);
    let mut newest = store.newest_position();
    newest.wait_for(|newest| *newest == lost).await.unwrap();

    pair.fail_over().await;
    // Before anything is numbered anew, who has come further than the log is told so.
    newest.wait_for(|newest| *newest == 1).await.unwrap();
    assert_eq!(store.list_changes(lost, 10).await.unwrap_err(), StoreError::Trimmed);
    create_at_last(&store, "dan").await;
    create_at_last(&store, "eve").await;
    let seen = created_after(&store, 1).await;
    let first = seen[0].1;
    assert!(first > lost + POSITIONS_SKIPPED, "{first}");
    assert_eq!(seen, [("dan".into(), first), ("eve".into(), first + 1)]);
    assert_eq!(created_after(&store, 0).await.len(), 3, "who is before the loss goes on");
    for position in 2..=lost {
        assert_eq!(store.list_changes(position, 10).await.unwrap_err(), StoreError::Trimmed);
        let then = UsersAt { position, filter: None, after: None, limit: 10 };
        assert_eq!(store.users_at(then).await.unwrap_err(), StoreError::Trimmed);
    }
    let then = UsersAt { position: 1, filter: None, after: None, limit: 10 };
    assert_eq!(store.users_at(then).await.unwrap().users.len(), 1);

    // So many rows are kept, and not so many positions.
    let old = LogTrim { before: Timestamp(0), keep_max: 3, batch_max: 100 };
    assert_eq!(store.trim_log(old).await.unwrap(), 0);
    assert_eq!(store.trim_log(LogTrim { keep_max: 2, ..old }).await.unwrap(), 1);
    assert_eq!(store.trim_log(LogTrim { keep_max: 1, ..old }).await.unwrap(), 1);
    assert_eq!(created_after(&store, first).await, [("eve".into(), first + 1)]);

    // Another server that opens the same database finds nothing new.
    let other = PostgresStore::open(options(pair.url())).unwrap();
    create(&other, &user("fay")).await.unwrap();
    assert_eq!(created_after(&store, first + 1).await, [("fay".into(), first + 2)]);
    other.close().await;
    store.close().await;
}
