//! SQLite's search index: whatever becomes of its file, searches answer as if there were none.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use roster_server::{
    model::{Timestamp, User, UserId, UserPatch, order::Order},
    store::{
        FeedStore as _, LogTrim, Store, UserQuery,
        sqlite::{Location, SqliteOptions, SqliteStore},
    },
};

use super::{Decoded as _, create, meta, user};

/// Nothing here takes this long, however slow the machine.
const LIMIT: Duration = Duration::from_secs(60);

fn open(database: &Path) -> SqliteStore {
    let location = Location::File(database.to_owned());
    SqliteStore::open(SqliteOptions { location, cache_bytes: 0, write_queue_max: 1_024, reader_threads: 1 }).unwrap()
}

fn index_of(database: &Path) -> PathBuf {
    format!("{}-search", database.display()).into()
}

/// Waits until the index has taken in every change.
fn await_index(database: &Path) {
    let started = Instant::now();
    let look = || -> rusqlite::Result<bool> {
        let connection = rusqlite::Connection::open(database)?;
        connection.execute("ATTACH ?1 AS search", [index_of(database).to_str()])?;
        let sql = "SELECT complete AND position = (SELECT max(position) FROM changes) FROM search.state";
        connection.query_row(sql, [], |row| row.get(0))
    };
    while !look().unwrap_or(false) {
        assert!(started.elapsed() < LIMIT, "the index does not catch up");
        std::thread::yield_now();
    }
}

/// The emails of those who match, in order, whichever way they are looked for.
async fn search(store: &dyn Store, text: &str) -> Vec<String> {
    let mut found: Vec<String> = emails(store, text, "email", 1_000).await;
    for order in ["", "id desc"] {
        let mut same = emails(store, text, order, 1_000).await;
        same.sort_unstable();
        assert_eq!(same, found, "{order}");
    }
    found.dedup();
    found
}

/// Page by page.
async fn emails(store: &dyn Store, text: &str, order: &str, limit: u32) -> Vec<String> {
    let order = Order::parse(order).unwrap();
    let (mut emails, mut after) = (Vec::new(), None);
    loop {
        let query = UserQuery { filter: None, search: Some(text.into()), order: order.clone(), after, limit };
        let (users, total) = store.search_users(query, 1_000).await.unwrap();
        let users = users.decoded();
        let Some(last) = users.last() else {
            assert_eq!(total as usize, emails.len());
            return emails;
        };
        after = Some(order.cursor_of(last));
        emails.extend(users.into_iter().map(|user| user.email));
        assert!(emails.len() <= total as usize, "{text:?} by {order:?}: {emails:?}");
    }
}

/// `count` users whose emails start with `name`, in order.
async fn fill(store: &dyn Store, name: &str, count: usize) -> Vec<User> {
    let mut users = Vec::new();
    for number in 0..count {
        users.push(user(&format!("{name}{number:03}")));
        create(store, &users[number]).await.unwrap();
    }
    users
}

#[tokio::test]
async fn searches_answer_the_same_whatever_the_index_has_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("roster.db");
    let store = open(&database);
    let users = fill(&store, "indexed", 100).await;
    await_index(&database);
    assert_eq!(search(&store, "indexed").await.len(), 100);
    assert_eq!(search(&store, "exed07").await.len(), 10);

    // Renamed and deleted, before and after the index hears of it.
    let email = UserPatch {
        email: Some("renamed@example.com".into()),
        username: Some("x".into()),
        name: Some("y".into()),
        ..UserPatch::default()
    };
    store.update_user(users[70].id.clone(), email, None, meta()).await.unwrap();
    store.delete_user(users[71].id.clone(), None, meta()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(search(&store, "exed07").await.len(), 8);
        assert_eq!(search(&store, "renamed").await, ["renamed@example.com"]);
        await_index(&database);
    }
    store.close().await;
}

#[tokio::test]
async fn who_has_the_place_of_somebody_deleted_is_found_by_the_own_id() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("roster.db");
    let store = open(&database);
    let named = |id: &str| User { id: UserId::parse(id).unwrap(), ..user(id) };
    for id in ["ann", "bob", "zed"] {
        create(&store, &named(id)).await.unwrap();
    }
    await_index(&database);
    // The newest goes, and whoever comes next gets its key in the table.
    store.delete_user(named("zed").id, None, meta()).await.unwrap();
    create(&store, &named("amy")).await.unwrap();
    for _ in 0..2 {
        let ascending = ["amy@example.com", "ann@example.com", "bob@example.com"];
        assert_eq!(emails(&store, "example", "", 1).await, ascending);
        let descending: Vec<_> = ascending.into_iter().rev().collect();
        assert_eq!(emails(&store, "example", "id desc", 1).await, descending);
        await_index(&database);
    }
    store.close().await;
}

#[tokio::test]
async fn a_lost_damaged_or_foreign_index_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (database, other) = (folder.path().join("roster.db"), folder.path().join("other.db"));
    for (path, name) in [(&database, "wanted"), (&other, "stranger")] {
        let store = open(path);
        fill(&store, name, 50).await;
        await_index(path);
        store.close().await;
    }
    let index = index_of(&database);
    let good = fs::read(&index).unwrap();
    let spoil: [&dyn Fn(); 4] = [
        &|| fs::remove_file(&index).unwrap(),
        &|| fs::write(&index, b"this is no database").unwrap(),
        &|| fs::write(&index, &good[..good.len() / 2]).unwrap(),
        &|| assert!(fs::copy(index_of(&other), &index).unwrap() > 0),
    ];
    for spoil in spoil {
        spoil();
        let store = open(&database);
        for _ in 0..2 {
            assert_eq!(search(&store, "wanted0").await.len(), 50);
            assert_eq!(search(&store, "stranger").await, [""; 0]);
            await_index(&database);
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_put_back_to_a_backup_is_searched_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("roster.db");
    let store = open(&database);
    fill(&store, "before", 20).await;
    store.close().await;
    drop(store);
    let backup = fs::read(&database).unwrap();

    let store = open(&database);
    fill(&store, "after", 20).await;
    await_index(&database);
    store.close().await;
    drop(store);
    fs::write(&database, backup).unwrap();

    let store = open(&database);
    assert_eq!(search(&store, "before").await.len(), 20);
    fill(&store, "again", 20).await;
    for _ in 0..2 {
        assert_eq!(search(&store, "before").await.len(), 20);
        assert_eq!(search(&store, "again").await.len(), 20);
        assert_eq!(search(&store, "after").await, [""; 0]);
        await_index(&database);
    }
    store.close().await;
}

#[tokio::test]
async fn an_index_that_has_missed_what_was_trimmed_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (database, old) = (folder.path().join("roster.db"), folder.path().join("old-search"));
    let store = open(&database);
    fill(&store, "first", 20).await;
    await_index(&database);
    store.close().await;
    drop(store);
    fs::copy(index_of(&database), &old).unwrap();

    let store = open(&database);
    fill(&store, "second", 20).await;
    let trim = LogTrim { before: Timestamp(0), keep_max: 5, batch_max: 1_000 };
    assert_eq!(store.trim_log(trim).await.unwrap(), 35);
    store.close().await;
    drop(store);
    fs::copy(&old, index_of(&database)).unwrap();

    let store = open(&database);
    for _ in 0..2 {
        assert_eq!(search(&store, "first0").await.len(), 20);
        assert_eq!(search(&store, "second0").await.len(), 20);
        await_index(&database);
    }
    store.close().await;
}
