//! Reads of users that come faster than answers share queries, and nothing else.

use std::{cell::Cell, pin::pin};

use roster_server::{
    model::{User, UserPatch},
    store::Store as _,
};

use super::{node, until_blocked};
use crate::{
    postgres::Database,
    store::{Decoded as _, create, join_all, meta, user},
};

/// Connections on which the last query was one for many.
const SHARED: &str = "SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND query LIKE '%FROM users WHERE id = ANY%' AND pid <> pg_backend_pid()";

#[tokio::test]
async fn who_waits_for_the_same_query_gets_what_was_asked_for() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    let mut users: Vec<User> = (0..20).map(|number| user(&format!("user{number}"))).collect();
    for user in &users {
        create(&store, user).await.unwrap();
    }
    users.extend([user("nobody"), users[0].clone(), users[19].clone()]);
    let found = |index: usize| (index != 20).then(|| users[index].clone());

    holder.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
    let release = async {
        until_blocked(&observer, 1).await;
        // One that is asked for and given up changes nothing for the others.
        tokio::select! {
            biased;
            found = store.find_user(&users[1].id) => panic!("the table is locked: {found:?}"),
            () = std::future::ready(()) => {}
        }
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let asked = join_all(users.iter().map(async |user| store.find_user(&user.id).await.decoded().unwrap()));
    let (answers, ()) = tokio::join!(asked, release);
    for (index, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, found(index), "{index}");
    }
    assert_eq!(database.number(SHARED), 1);
    store.close().await;
}

#[tokio::test]
async fn who_gives_up_holds_up_nobody() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    let ada = create(&store, &user("ada")).await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
    // More than there are queries at once: some are asked for, and some wait.
    let mut gone = Box::pin(join_all((0..5).map(|_| store.find_user(&ada.id))));
    let mut stays = pin!(store.find_user(&ada.id));
    tokio::select! {
        biased;
        _ = &mut gone => panic!("the table is locked"),
        _ = &mut stays => panic!("the table is locked"),
        () = until_blocked(&observer, 1) => {}
    }
    drop(gone);
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(stays.await.decoded().unwrap().as_ref(), Some(&ada));
    store.close().await;
}

#[tokio::test]
async fn a_read_among_many_sees_what_was_acknowledged_before_it_began() {
    const READERS: usize = 32;
    const CHANGES: i64 = 50;
    let database = Database::new();
    let (store, other) = (node(&database), node(&database));
    let ada = create(&store, &user("ada")).await.unwrap();
    let acknowledged = Cell::new(ada.revision);
    let last = ada.revision + CHANGES;
    let change = async {
        for revision in ada.revision + 1..=last {
            let patch = UserPatch { name: Some(format!("Ada {revision}")), ..UserPatch::default() };
            let changed = other.update_user(ada.id.clone(), patch, None, meta()).await.decoded().unwrap();
            assert_eq!(changed.revision, revision);
            acknowledged.set(revision);
        }
    };
    let read = join_all((0..READERS).map(async |_| {
        loop {
            let at_least = acknowledged.get();
            let found = store.find_user(&ada.id).await.decoded().unwrap().unwrap();
            assert!(found.revision >= at_least, "{} was read after {at_least}", found.revision);
            if at_least == last {
                return;
            }
        }
    }));
    tokio::join!(change, read);
    store.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_connection_that_went_with_its_thread_is_made_anew() {
    let database = Database::new();
    let store = node(&database);
    let ada = create(&store, &user("ada")).await.unwrap();
    // Each thread ends with its runtime before the next begins, and the connections of the first are those of later ones.
    std::thread::scope(|scope| {
        for _ in 0..12 {
            let read = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(store.find_user(&ada.id)).decoded().unwrap()
            };
            assert_eq!(scope.spawn(read).join().unwrap().as_ref(), Some(&ada));
        }
    });
    store.close().await;
}
