//! Reads that may be old, and those that may not.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use roster_server::{
    model::{PreferencesPatch, Staleness, User, UserPatch},
    store::{FeedStore as _, PreferencesStore as _, StaleReads as _, Store as _, postgres::PostgresStore},
};

use super::node;
use crate::{
    postgres::Database,
    store::{create, join_all, meta, user},
};

fn hour() -> Staleness {
    Staleness::of(Duration::from_hours(1))
}

async fn named(store: &PostgresStore, user: &User, name: &str) {
    let patch = UserPatch { name: Some(name.to_owned()), ..UserPatch::default() };
    store.update_user(user.id.clone(), patch, None, meta()).await.unwrap();
}

/// Waits until the store has heard of all that was done, and drops nothing any more.
async fn heard(store: &PostgresStore) {
    let end = store.log_end().await.unwrap();
    store.newest_position().wait_for(|newest| *newest >= end).await.unwrap();
}

/// The name, as a call reads it that says how old it may be.
async fn name_within(store: &PostgresStore, user: &User, staleness: Staleness) -> String {
    let found = match store.remembered_user(&user.id, staleness) {
        Some(found) => found,
        None => store.find_user_within(&user.id, staleness).await.unwrap().unwrap(),
    };
    found.user().unwrap().name
}

#[tokio::test]
async fn only_who_says_so_is_shown_what_was_overwritten() {
    let database = Database::new();
    let (store, owner) = (node(&database), database.connect().await);
    let ada = create(&store, &user("ada")).await.unwrap();
    let by_email = async |staleness| {
        store.find_user_by_email_within("ada@example.com", staleness).await.unwrap().map(|user| user.user().unwrap())
    };
    let language = async |staleness| {
        store.find_preferences_within(&ada.id, staleness).await.unwrap().map(|preferences| preferences.language)
    };
    let german = PreferencesPatch { language: Some("de".into()), ..PreferencesPatch::default() };
    store.update_preferences(&ada.id, german, None, meta()).await.unwrap();
    heard(&store).await;
    assert_eq!(name_within(&store, &ada, hour()).await, ada.name);
    assert_eq!(by_email(hour()).await, Some(ada.clone()));
    assert_eq!(language(hour()).await.as_deref(), Some("de"));
    // Behind the back of the log, so that nobody hears of it.
    owner.batch_execute("UPDATE preferences SET language = 'fr'; ALTER TABLE users RENAME TO people").await.unwrap();
    assert_eq!(name_within(&store, &ada, hour()).await, ada.name);
    assert_eq!(by_email(hour()).await, Some(ada.clone()));
    assert_eq!(store.remembered_user(&ada.id, Staleness::NONE), None);
    assert_eq!(store.cached_user(&ada.id), None);
    store.find_user(&ada.id).await.expect_err("a plain read asks the database");
    store.find_user_within(&ada.id, Staleness::NONE).await.expect_err("so does one that may not be old");
    store.find_user_by_email_within("ada@example.com", Staleness::NONE).await.expect_err("by email too");
    owner.batch_execute("ALTER TABLE people RENAME TO users").await.unwrap();
    assert_eq!(language(hour()).await.as_deref(), Some("de"));
    assert_eq!(language(Staleness::NONE).await.as_deref(), Some("fr"));
    // What is older than the call allows is read anew.
    let kept = Instant::now();
    while kept.elapsed() < Duration::from_millis(5) {}
    assert_eq!(language(Staleness::of(Duration::from_millis(5))).await.as_deref(), Some("fr"));
    assert_eq!(language(hour()).await.as_deref(), Some("fr"), "what was read later takes its place");
    store.close().await;
}

#[tokio::test]
async fn who_has_changed_is_dropped_on_every_server() {
    let database = Database::new();
    let (here, there) = (node(&database), node(&database));
    let ada = create(&here, &user("ada")).await.unwrap();
    let german = PreferencesPatch { language: Some("de".into()), ..PreferencesPatch::default() };
    for round in 0..5 {
        let name = format!("Ada {round}");
        for store in [&here, &there] {
            name_within(store, &ada, hour()).await;
            store.find_preferences_within(&ada.id, hour()).await.unwrap();
        }
        named(&here, &ada, &name).await;
        here.update_preferences(&ada.id, german.clone(), None, meta()).await.unwrap();
        // Nothing else would have them read anew within the hour.
        for store in [&here, &there] {
            while name_within(store, &ada, hour()).await != name {
                tokio::task::yield_now().await;
            }
            while store.find_preferences_within(&ada.id, hour()).await.unwrap().unwrap().language != "de" {
                tokio::task::yield_now().await;
            }
        }
    }
    here.close().await;
    there.close().await;
}

/// When what was written was answered: the number of the write, and the moment.
#[derive(Default)]
struct Answered(Mutex<Vec<(i64, Instant)>>);

impl Answered {
    fn note(&self, number: i64) {
        self.0.lock().unwrap().push((number, Instant::now()));
    }

    /// The last that was answered before this moment.
    fn before(&self, moment: Instant) -> i64 {
        let all = self.0.lock().unwrap();
        all.iter().rev().find(|(_, when)| *when < moment).map_or(0, |(number, _)| *number)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_plain_read_is_old_and_no_other_older_than_it_may_be() {
    const WRITES: i64 = 300;
    const STALENESS: Duration = Duration::from_millis(30);
    let database = Database::new();
    let (writer, reader) = (node(&database), node(&database));
    let ada = create(&writer, &user("ada")).await.unwrap();
    let (answered, done, remembered) = (Answered::default(), AtomicBool::new(false), AtomicI64::new(0));
    let number = |user: &User| user.name.strip_prefix("Ada ").map_or(0, |number| number.parse().unwrap());
    let write = async {
        for write in 1..=WRITES {
            named(&writer, &ada, &format!("Ada {write}")).await;
            answered.note(write);
        }
        done.store(true, Ordering::Relaxed);
    };
    let read = async |reader_number: usize| {
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            let (found, earliest) = match reader_number % 3 {
                0 => (reader.find_user(&ada.id).await.unwrap().unwrap(), began),
                1 => {
                    let staleness = Staleness::of(STALENESS);
                    let found = reader.find_user_by_email_within("ada@example.com", staleness).await.unwrap();
                    (found.unwrap(), began - STALENESS)
                }
                _ => match reader.remembered_user(&ada.id, Staleness::of(STALENESS)) {
                    Some(found) => {
                        remembered.fetch_add(1, Ordering::Relaxed);
                        (found, began - STALENESS)
                    }
                    None => {
                        let read = reader.find_user_within(&ada.id, Staleness::of(STALENESS)).await.unwrap().unwrap();
                        (read, began)
                    }
                },
            };
            let (shown, needed) = (number(&found.user().unwrap()), answered.before(earliest));
            assert!(shown >= needed, "{shown} was shown and {needed} was answered before, by reader {reader_number}");
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, join_all((0..12).map(read)));
    assert!(remembered.load(Ordering::Relaxed) > 0, "memory was never asked");
    assert_eq!(number(&reader.find_user(&ada.id).await.unwrap().unwrap().user().unwrap()), WRITES);
    writer.close().await;
    reader.close().await;
}
