//! Several stores over one PostgreSQL database, as several servers have them.

mod creates;
mod deadlines;
mod erasure;
mod failover;
mod failures;
mod finds;
mod grants;
mod log;
mod migrations;
mod races;
mod replicas;
mod stale_reads;
mod start;

use std::collections::BTreeSet;

use roster_server::store::postgres::PostgresStore;
use tokio_postgres::Client;

use crate::postgres::{Database, options};

/// A store over the database.
fn node(database: &Database) -> PostgresStore {
    PostgresStore::open(options(database.url())).unwrap()
}

/// Waits until so many sessions wait for a lock. The observer must not be in a transaction: it would see the same throughout.
async fn until_blocked(observer: &Client, sessions: i64) {
    while blocked(observer).await != sessions {
        tokio::task::yield_now().await;
    }
}

/// How many sessions wait for a lock.
async fn blocked(observer: &Client) -> i64 {
    const SQL: &str = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()";
    observer.query_one(SQL, &[]).await.unwrap().get(0)
}

/// The server's processes behind connections of stores, but for those that follow the log.
async fn backends(observer: &Client) -> BTreeSet<i32> {
    const SQL: &str =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'roster'";
    observer.query(SQL, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
