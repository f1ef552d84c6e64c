//! Creations that come faster than commits share transactions, and nothing else.

use roster_server::{
    auth::PasswordHash,
    model::{ChangeMeta, User},
    store::{AnswerStore as _, FeedStore as _, NewUser, Store as _, StoreError, Unique, postgres::PostgresStore},
};
use tokio_postgres::Client;

use super::{node, until_blocked};
use crate::{
    postgres::Database,
    store::{
        Decoded as _,
        idempotency::{call, with},
        join_all, meta, tick, user,
    },
};

/// As many transactions as are under way at once.
const FLIGHTS: usize = 4;
/// How many transactions have written the log.
const TRANSACTIONS: &str = "SELECT count(DISTINCT xmin::TEXT) FROM changes";

fn plain(user: User) -> NewUser {
    NewUser { user, password_hash: None, mail: None }
}

/// Asks for all of them while other creations, by calls that are named so, hold up all transactions that there may be.
async fn together(
    (store, holder, observer): (&PostgresStore, &Client, &Client),
    name: &str,
    calls: Vec<(NewUser, ChangeMeta)>,
) -> Vec<Result<User, StoreError>> {
    holder.execute("SELECT pg_advisory_lock(7)", &[]).await.unwrap();
    let held_up = (0..FLIGHTS).map(|number| {
        let meta = ChangeMeta { request_id: "held up".into(), ..meta() };
        store.create_user(plain(user(&format!("{name}-{number}"))), meta)
    });
    let asked = calls.into_iter().map(|(new, meta)| store.create_user(new, meta));
    let release = async {
        until_blocked(observer, FLIGHTS as i64).await;
        holder.execute("SELECT pg_advisory_unlock(7)", &[]).await.unwrap();
    };
    let (held_up, asked, ()) = tokio::join!(join_all(held_up), join_all(asked), release);
    held_up.into_iter().for_each(|created| drop(created.unwrap()));
    asked.into_iter().map(|outcome| outcome.decoded()).collect()
}

#[tokio::test]
async fn creations_that_wait_share_a_commit_and_not_their_errors() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    holder.batch_execute(super::log::HOLD_UP).await.unwrap();
    let all = (&store, &holder, &observer);

    let users: Vec<_> = (0..20).map(|number| user(&format!("user{number}"))).collect();
    let mut calls: Vec<_> = users.iter().map(|user| (plain(user.clone()), meta())).collect();
    let key = call("a-key", "request");
    calls[3].0.password_hash = Some(PasswordHash::from_store("hash".into()));
    calls[4].1 = with(&key);
    calls.push((plain(User { email: users[0].email.clone(), ..user("same-email") }), meta()));
    calls.push((plain(User { id: users[1].id.clone(), ..user("same-id") }), meta()));
    calls.push((plain(User { username: users[2].username.clone(), ..user("same-username") }), meta()));
    let outcomes = together(all, "first", calls).await;
    for (user, outcome) in users.iter().zip(&outcomes) {
        assert_eq!(outcome.as_ref(), Ok(user));
        assert_eq!(store.find_user(&user.id).await.decoded().unwrap().as_ref(), Some(user));
    }
    let taken = [Unique::Email, Unique::Id, Unique::Username].map(|what| Err(StoreError::Conflict(what)));
    assert_eq!(outcomes[20..], taken);
    assert_eq!(database.number(TRANSACTIONS), FLIGHTS as i64 + 1, "all that waited went together");
    let hash = store.find_password_hash(&users[3].id).await.unwrap();
    assert_eq!(hash, Some(PasswordHash::from_store("hash".into())));
    let answered = store.find_answer(key.id, tick()).await.unwrap().unwrap();
    assert!(answered.request == key.request && key.open(&answered.sealed.unwrap()).is_some());

    // A call that was answered before, and one that comes twice, are done no more, and the others all the same.
    let twice = call("another-key", "request");
    let keys = [&key, &twice, &twice];
    let calls = keys.iter().enumerate().map(|(number, key)| (plain(user(&format!("keyed{number}"))), with(key)));
    let others = (0..5).map(|number| (plain(user(&format!("other{number}"))), meta()));
    let outcomes = together(all, "second", calls.chain(others).collect()).await;
    assert_eq!(outcomes[0], Err(StoreError::KeyUsed));
    assert_eq!(outcomes[1..3].iter().filter(|outcome| **outcome == Err(StoreError::KeyUsed)).count(), 1);
    assert!(outcomes[3..].iter().all(Result::is_ok), "{outcomes:?}");

    let changes = store.list_changes(0, 1_000).await.unwrap().changes;
    assert_eq!(changes.len(), 20 + 1 + 5 + 2 * FLIGHTS);
    assert_eq!(database.number("SELECT count(*) FROM users"), changes.len() as i64);
    store.close().await;
}

#[tokio::test]
async fn who_has_gone_before_its_turn_is_not_created() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    holder.batch_execute(super::log::HOLD_UP).await.unwrap();
    holder.execute("SELECT pg_advisory_lock(7)", &[]).await.unwrap();
    let held_up = join_all((0..FLIGHTS).map(|number| {
        let meta = ChangeMeta { request_id: "held up".into(), ..meta() };
        store.create_user(plain(user(&format!("held{number}"))), meta)
    }));
    let gone = user("gone");
    let leave = async {
        until_blocked(&observer, FLIGHTS as i64).await;
        tokio::select! {
            biased;
            created = store.create_user(plain(gone.clone()), meta()) => panic!("there was no room: {created:?}"),
            () = std::future::ready(()) => {}
        }
        holder.execute("SELECT pg_advisory_unlock(7)", &[]).await.unwrap();
    };
    tokio::join!(held_up, leave).0.into_iter().for_each(|created| drop(created.unwrap()));
    // The way is free again.
    store.create_user(plain(user("after")), meta()).await.unwrap();
    assert!(store.find_user(&gone.id).await.unwrap().is_none());
    store.close().await;
}

#[tokio::test]
async fn creations_get_past_those_that_are_held_up() {
    let database = Database::new();
    let (store, holder, observer) = (node(&database), database.connect().await, database.connect().await);
    holder.batch_execute(super::log::HOLD_UP).await.unwrap();
    holder.execute("SELECT pg_advisory_lock(7)", &[]).await.unwrap();
    let held_up = join_all((0..FLIGHTS).map(|number| {
        let meta = ChangeMeta { request_id: "held up".into(), ..meta() };
        store.create_user(plain(user(&format!("held{number}"))), meta)
    }));
    let come = async {
        until_blocked(&observer, FLIGHTS as i64).await;
        let mut number = 0;
        let created = loop {
            number += 1;
            let (new, mut asked) = (user(&format!("user{number}")), 0);
            tokio::select! {
                created = store.create_user(plain(new), meta()) => break created,
                () = async { while asked < 10 { asked += 1; until_blocked(&observer, FLIGHTS as i64).await } } => {}
            }
        };
        created.unwrap();
        until_blocked(&observer, FLIGHTS as i64).await;
        holder.execute("SELECT pg_advisory_unlock(7)", &[]).await.unwrap();
    };
    tokio::join!(held_up, come).0.into_iter().for_each(|created| drop(created.unwrap()));
    store.close().await;
}
