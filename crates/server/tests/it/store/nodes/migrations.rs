//! Databases of the release before, and who is in their migration's way.

use std::thread;

use roster_server::store::{
    FeedStore as _, Store as _,
    postgres::{NEWEST_SCHEMA, OpenError, PostgresStore, inspect},
};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;

use super::node;
use crate::{
    postgres::{Database, options},
    store::{create, user},
};

const FIRST: &str = include_str!("../../../../src/store/postgres/migrations/0001_roster.sql");
/// A user as the first schema has it, and the change that made it, numbered.
const ADA: &str = "
    INSERT INTO users (id, email, email_key, username, username_key, name, name_key, role, status, phone, locale, attributes,
                       email_verified, created_at, updated_at, revision, search_text, message)
    VALUES ('tada', 'ada@example.com', 'ada@example.com', '', NULL, 'Ada', 'ada', 1, 1, '', '', '{}', FALSE, 1, 1, 1,
            'ada ada@example.com', '\\x0a03616461');
    WITH logged AS (
        INSERT INTO changes (at, actor, action, user_id, revision, request_id, fields, after, remote_address, target, reason,
                             by_another)
        VALUES (1, 'developer', 'created', 'tada', 1, 'call', '[]', '\\x0a03616461', '', '', '', FALSE) RETURNING seq
    ) INSERT INTO unnumbered (seq) SELECT seq FROM logged;
    SELECT number_changes()";

/// A database as the first release has left it.
async fn of_the_first_release() -> (Database, Client) {
    let database = Database::blank();
    let owner = database.connect().await;
    let checksum: String = Sha256::digest(FIRST).iter().map(|byte| format!("{byte:02x}")).collect();
    owner.batch_execute(FIRST).await.unwrap();
    owner
        .batch_execute(&format!(
            "CREATE TABLE roster_schema (version BIGINT PRIMARY KEY, checksum TEXT NOT NULL, serves_from BIGINT NOT NULL,
                                         applied_at TIMESTAMPTZ NOT NULL DEFAULT now());
             INSERT INTO roster_schema (version, checksum, serves_from) VALUES (1, '{checksum}', 1)"
        ))
        .await
        .unwrap();
    owner.batch_execute(ADA).await.unwrap();
    (database, owner)
}

#[tokio::test]
async fn a_database_of_the_first_release_is_brought_up_to_date() {
    let (database, owner) = of_the_first_release().await;
    assert_eq!(inspect(&options(database.url()).url).await.unwrap().schema, Some(1));
    let store = node(&database);
    create(&store, &user("bea")).await.unwrap();
    let positions: Vec<i64> =
        store.list_changes(0, 10).await.unwrap().changes.iter().map(|change| change.position).collect();
    assert_eq!(positions, [1, 2]);
    assert_eq!(store.moment(None).await.unwrap().user_count, 2);
    // What a server of the release before asks of it.
    let number = "SELECT number_changes(), (SELECT count(*) FROM unnumbered)";
    let row = owner.query_one(number, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 0));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_holds_up_nobody_while_it_waits_for_somebody() {
    let (database, holder) = of_the_first_release().await;
    holder.batch_execute("BEGIN; SELECT FROM positions").await.unwrap();
    let (url, reader, observer) = (database.url().to_owned(), database.connect().await, database.connect().await);
    let start = thread::spawn(move || PostgresStore::open(options(&url)));
    super::until_blocked(&observer, 1).await;
    // Comes after it in the queue for the table, and gets through all the same.
    reader.batch_execute("SET lock_timeout = '5s'").await.unwrap();
    for _ in 0..5 {
        super::until_blocked(&observer, 1).await;
        reader.batch_execute("SELECT FROM positions").await.unwrap();
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    let store = start.join().unwrap().unwrap();
    assert_eq!(inspect(&options(database.url()).url).await.unwrap().schema, Some(NEWEST_SCHEMA));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_cannot_be_done_says_who_is_in_its_way() {
    let (database, holder) = of_the_first_release().await;
    holder.batch_execute("SET application_name = 'long report'; BEGIN; SELECT FROM positions").await.unwrap();
    let url = database.url().to_owned();
    let refused = thread::spawn(move || PostgresStore::open(options(&url))).join().unwrap().unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, OpenError::Held { .. }), "{text}");
    assert!(text.contains("long report, idle in transaction") && text.contains("positions"), "{text}");
    // Nothing of it is there.
    assert_eq!(inspect(&options(database.url()).url).await.unwrap().schema, Some(1));
    holder.batch_execute("ROLLBACK").await.unwrap();
    // Servers that run need no migration, and so wait for nobody.
    node(&database).close().await;
    holder.batch_execute("BEGIN; SELECT FROM positions").await.unwrap();
    node(&database).close().await;
}
