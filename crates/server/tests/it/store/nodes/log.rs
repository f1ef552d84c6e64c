//! The order of the log, whoever commits when, and whoever stops at the worst moment.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use roster_server::{
    model::{ChangeMeta, UserId, UserPatch, UserStatus},
    store::{Change, FeedStore as _, NewUser, Store, StoreError, UsersAt},
};
use url::Url;

use super::{node, until_blocked};
use crate::{
    postgres::Database,
    store::{
        create,
        idempotency::{call, with},
        join_all, meta, user,
    },
};

/// Holds up every transaction with this request id after it has written its row of the log, while somebody holds the lock.
pub(super) const HOLD_UP: &str = "
    CREATE FUNCTION hold_up() RETURNS TRIGGER LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END';
    CREATE TRIGGER hold_up AFTER INSERT ON changes
        FOR EACH ROW WHEN (NEW.request_id = 'held up') EXECUTE FUNCTION hold_up()";

fn held_up() -> ChangeMeta {
    ChangeMeta { request_id: "held up".into(), ..meta() }
}

fn named(name: &str) -> UserPatch {
    UserPatch { name: Some(name.into()), ..UserPatch::default() }
}

async fn changes(store: &dyn Store) -> Vec<Change> {
    store.list_changes(0, 1_000).await.unwrap().changes
}

/// Positions have no gap, and every user's changes are in the order of its revisions.
fn check(changes: &[Change]) {
    for (index, change) in changes.iter().enumerate() {
        let earlier = changes[..index].iter().rev().find(|earlier| earlier.user_id == change.user_id);
        let revision = earlier.map_or(1, |earlier| earlier.revision + 1);
        assert_eq!((change.position, change.revision), (index as i64 + 1, revision), "{changes:?}");
    }
}

#[tokio::test]
async fn commits_in_the_inverse_of_their_sequence_are_both_seen() {
    let database = Database::new();
    let (one, two) = (node(&database), node(&database));
    let holder = database.connect().await;
    holder.batch_execute(HOLD_UP).await.unwrap();
    holder.execute("SELECT pg_advisory_lock(7)", &[]).await.unwrap();
    let late = async {
        let late = NewUser { user: user("late"), password_hash: None, mail: None };
        one.create_user(late, held_up()).await.unwrap()
    };
    let early = async {
        until_blocked(&holder, 1).await;
        let early = create(&two, &user("early")).await.unwrap();
        // The other has its place in the sequence before this one, and is nowhere yet.
        let seen = changes(&two).await;
        assert_eq!(seen.iter().map(|change| &change.user_id).collect::<Vec<_>>(), [&early.id]);
        assert_eq!(store_count(&two).await, (1, 1));
        holder.execute("SELECT pg_advisory_unlock(7)", &[]).await.unwrap();
        early
    };
    let (late, early) = tokio::join!(late, early);
    let late = late.user().unwrap();
    for store in [&one, &two] {
        let seen = changes(store).await;
        assert_eq!(seen.iter().map(|change| &change.user_id).collect::<Vec<_>>(), [&early.id, &late.id]);
        check(&seen);
        assert_eq!(store.list_changes(1, 10).await.unwrap().changes.len(), 1, "who has seen the first gets the second");
    }
    let backwards =
        "SELECT (SELECT seq FROM positions WHERE position = 1) > (SELECT seq FROM positions WHERE position = 2)";
    assert!(
        holder.query_one(backwards, &[]).await.unwrap().get::<_, bool>(0),
        "they came in the order of their sequence"
    );
    one.close().await;
    two.close().await;
}

/// Position and count of a moment.
async fn store_count(store: &dyn Store) -> (i64, u64) {
    let moment = store.moment(None).await.unwrap();
    (moment.position, moment.user_count)
}

#[tokio::test]
async fn changes_of_a_user_come_in_the_order_in_which_they_took_effect() {
    let database = Database::new();
    let (one, two) = (node(&database), node(&database));
    let ada = create(&one, &user("ada")).await.unwrap().id;
    let holder = database.connect().await;

    // The first begins, and waits before it comes to the user; the second begins later and is done before it.
    let key = call("begun-first", "request");
    let claim = "INSERT INTO answers (id, request, expires_at) VALUES ($1, '', 0)";
    holder.batch_execute("BEGIN").await.unwrap();
    holder.execute(claim, &[&key.id.as_slice()]).await.unwrap();
    let observer = database.connect().await;
    let begun_first = one.update_user(ada.clone(), named("Begun first"), None, with(&key));
    let done_first = async {
        until_blocked(&observer, 1).await;
        two.update_user(ada.clone(), named("Done first"), None, meta()).await.unwrap();
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    let (begun_first, ()) = tokio::join!(begun_first, done_first);
    begun_first.unwrap();

    // The first has written its row of the log and is held up; the second waits for the user's row.
    holder.batch_execute(HOLD_UP).await.unwrap();
    holder.execute("SELECT pg_advisory_lock(7)", &[]).await.unwrap();
    let deactivate = one.set_user_status(ada.clone(), UserStatus::Inactive, None, held_up());
    let rename = async {
        until_blocked(&observer, 1).await;
        let rename = two.update_user(ada.clone(), named("After it"), None, meta());
        let release = async {
            until_blocked(&observer, 2).await;
            holder.execute("SELECT pg_advisory_unlock(7)", &[]).await.unwrap();
        };
        tokio::join!(rename, release).0
    };
    let (deactivated, renamed) = tokio::join!(deactivate, rename);
    deactivated.unwrap();
    renamed.unwrap();

    let seen = changes(&two).await;
    check(&seen);
    let names: Vec<_> = seen.iter().map(|change| change.after.as_ref().unwrap().user().unwrap().name).collect();
    assert_eq!(names, ["ada Example", "Done first", "Begun first", "Begun first", "After it"]);
    one.close().await;
    two.close().await;
}

/// As a server does that is stopped right after it has sent what numbers the log: it neither reads nor closes.
fn ask_and_freeze(database: &Database) -> UnixStream {
    let url = Url::parse(database.url()).unwrap();
    let host = url.host_str().unwrap();
    let folder = url::form_urlencoded::parse(host.as_bytes()).next().unwrap().0.into_owned();
    let mut stream = UnixStream::connect(Path::new(&folder).join(".s.PGSQL.5432")).unwrap();
    let message = |kind: &[u8], body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [kind, &length, body].concat()
    };
    let name = url.path().trim_start_matches('/');
    let start =
        [&196_608_u32.to_be_bytes(), format!("user\0{}\0database\0{name}\0\0", url.username()).as_bytes()].concat();
    stream.write_all(&message(b"", &start)).unwrap();
    // Up to ReadyForQuery, which is six bytes long.
    let mut said = Vec::new();
    while !said.ends_with(b"Z\0\0\0\x05I") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    stream.write_all(&message(b"Q", b"SELECT number_changes()\0")).unwrap();
    stream
}

#[tokio::test]
async fn whoever_freezes_in_numbering_hinders_nobody() {
    let database = Database::new();
    let store = node(&database);
    let mut newest = store.newest_position();
    let mut frozen = Vec::new();
    for number in 0..10 {
        frozen.push(ask_and_freeze(&database));
        create(&store, &user(&format!("user{number}"))).await.unwrap();
        newest.wait_for(|newest| *newest == number + 1).await.unwrap();
    }
    check(&changes(&store).await);

    // Even one who does what no server of ours does, and keeps the numbering in an open transaction, keeps no writer and no
    // reader of users waiting. When that ends the feed goes on, with nothing lost and nothing twice.
    let rude = database.connect().await;
    rude.batch_execute("BEGIN").await.unwrap();
    rude.execute("INSERT INTO unnumbered SELECT max(seq) + 1000 FROM changes", &[]).await.unwrap();
    rude.execute("SELECT number_changes()", &[]).await.unwrap();
    let ada = create(&store, &user("ada")).await.unwrap();
    assert!(store.find_user(&ada.id).await.unwrap().is_some());
    rude.batch_execute("ROLLBACK").await.unwrap();
    newest.wait_for(|newest| *newest == 11).await.unwrap();
    check(&changes(&store).await);
    store.close().await;
}

#[tokio::test]
async fn every_server_sees_one_log_whoever_writes() {
    let database = Database::new();
    let stores = [node(&database), node(&database), node(&database)];
    let ids: Vec<UserId> = {
        let users: Vec<_> = (0..20).map(|number| user(&format!("user{number}"))).collect();
        let made = join_all(users.iter().enumerate().map(|(number, user)| create(&stores[number % 3], user))).await;
        made.into_iter().map(|user| user.unwrap().id).collect()
    };
    let renames = (0..300).map(|number| {
        let name = format!("Name {number}");
        stores[number % 3].update_user(ids[number % ids.len()].clone(), named(&name), None, meta())
    });
    for renamed in join_all(renames).await {
        renamed.unwrap();
    }
    let mut logs = Vec::new();
    for store in &stores {
        let mut newest = store.newest_position();
        newest.wait_for(|newest| *newest == 320).await.unwrap();
        logs.push(changes(store).await);
    }
    assert_eq!(logs[0].len(), 320);
    check(&logs[0]);
    assert!(logs.iter().all(|log| *log == logs[0]));
    for store in &stores {
        store.close().await;
    }
}

#[tokio::test]
async fn of_parallel_calls_with_a_key_on_two_servers_one_runs() {
    let database = Database::new();
    let stores = [node(&database), node(&database)];
    let key = call("k", "request");
    let calls = (0..32).map(|number| {
        let new = NewUser { user: user(&format!("twin{number}")), password_hash: None, mail: None };
        stores[number % 2].create_user(new, with(&key))
    });
    let outcomes = join_all(calls).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(
        outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|_| true) || *outcome == Err(StoreError::KeyUsed))
    );
    assert_eq!(store_count(&stores[0]).await, (1, 1));
    for store in &stores {
        store.close().await;
    }
}

#[tokio::test]
async fn what_has_no_position_yet_is_taken_back_too() {
    let database = Database::new();
    let (store, holder) = (node(&database), database.connect().await);
    let ada = create(&store, &user("ada")).await.unwrap();
    let position = store.moment(None).await.unwrap().position;
    // Nothing is numbered while this is held.
    holder.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(x'726f73746572'::BIGINT)").await.unwrap();
    store.update_user(ada.id.clone(), named("Later"), None, meta()).await.unwrap();
    create(&store, &user("bea")).await.unwrap();
    let then = store.users_at(UsersAt { position, filter: None, after: None, limit: 10 }).await.unwrap().users;
    assert_eq!(then.iter().map(|user| user.user().unwrap()).collect::<Vec<_>>(), [ada]);
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(store_count(&store).await, (position + 2, 2));
    store.close().await;
}

#[tokio::test]
async fn a_log_that_was_copied_to_a_server_with_lower_transaction_ids_goes_on() {
    let database = Database::new();
    let (store, owner) = (node(&database), database.connect().await);
    let mut newest = store.newest_position();
    create(&store, &user("before")).await.unwrap();
    newest.wait_for(|newest| *newest == 1).await.unwrap();
    let later = "UPDATE positions SET seen = format('%1$s:%1$s:', pg_current_xact_id()::TEXT::BIGINT + 1000000000)::PG_SNAPSHOT";
    owner.execute(later, &[]).await.unwrap();
    create(&store, &user("after")).await.unwrap();
    newest.wait_for(|newest| *newest == 2).await.unwrap();
    check(&changes(&store).await);
    store.close().await;
}
