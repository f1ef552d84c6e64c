//! Users with a long history are deleted in one short transaction, and are gone from the log with it.

use roster_server::{
    model::Timestamp,
    store::{AuditQuery, AuditStore as _, FeedStore as _, LogTrim, Store, StoreError, postgres::PostgresStore},
};

use super::node;
use crate::{
    postgres::Database,
    store::{create, meta, user},
};

/// Rows about the user, and as many of what the user did to others.
const ROWS: i64 = 25_000;
/// So many, as a server writes them.
const HISTORY: &str = "WITH logged AS (
        INSERT INTO changes (at, actor, action, user_id, revision, request_id, fields, before, after, remote_address, target,
                             reason, by_another)
        SELECT number, 'user:ada', 'updated', CASE by_another WHEN TRUE THEN 'tbea'::BYTEA ELSE 'tada'::BYTEA END, number,
               'call', '[]', message, message, '192.0.2.7', '', '', by_another
        FROM generate_series(2, $1::BIGINT + 1) AS number, (VALUES (TRUE), (FALSE)) AS who (by_another),
             (SELECT message FROM users WHERE id = 'tada') AS ada
        RETURNING seq
    ) INSERT INTO unnumbered (seq) SELECT seq FROM logged";
/// Rows of the log that have something of the user.
const LEFT: &str =
    "SELECT count(*) FROM changes WHERE remote_address <> '' OR (user_id = 'tada' AND after IS NOT NULL)";

fn everything() -> AuditQuery {
    AuditQuery { filter: None, newest_first: false, after: None, limit: 100_000 }
}

/// Whether the log shows an address, or an image of the user.
async fn shows(store: &PostgresStore) -> bool {
    let changes = store.list_changes(0, 100_000).await.unwrap().changes;
    let events = store.list_events(everything()).await.unwrap();
    assert!(changes.len() as i64 >= 2 * ROWS && events.len() as i64 >= 2 * ROWS);
    events.iter().any(|event| !event.remote_address.is_empty())
        || changes.iter().any(|change| change.user_id.to_string() == "ada" && change.after.is_some())
}

#[tokio::test]
async fn a_user_with_a_long_history_is_gone_at_once_and_erased_by_and_by() {
    let database = Database::new();
    let (store, owner) = (node(&database), database.connect().await);
    let named = |name: &str| {
        let mut user = user(name);
        user.id = roster_server::model::UserId::parse(name).unwrap();
        user
    };
    let ada = create(&store, &named("ada")).await.unwrap();
    create(&store, &named("bea")).await.unwrap();
    owner.execute(HISTORY, &[&ROWS]).await.unwrap();
    assert!(shows(&store).await);

    store.delete_user(ada.id.clone(), None, meta()).await.unwrap();
    assert!(!shows(&store).await, "what was deleted is not shown");
    assert!(database.number(LEFT) >= 2 * ROWS, "it is not erased in the transaction that deletes");
    assert_eq!(store.delete_user(ada.id.clone(), None, meta()).await, Err(StoreError::NotFound));

    // Whoever has the id now is somebody else.
    create(&store, &named("ada")).await.unwrap();
    let newest = store.list_changes(0, 100_000).await.unwrap().changes.pop().unwrap();
    assert!(newest.user_id == ada.id && newest.after.is_some());

    // What the housekeeping does.
    let trim = LogTrim { before: Timestamp(0), keep_max: u64::MAX, batch_max: 1 };
    assert_eq!(store.trim_log(trim).await.unwrap(), 0);
    assert_eq!(database.number(LEFT), 1, "the new user's");
    assert_eq!(database.number("SELECT count(*) FROM erasures"), 0);
    store.close().await;
}
