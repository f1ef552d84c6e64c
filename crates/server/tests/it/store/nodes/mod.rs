//! Several stores over one PostgreSQL database, as several servers have them.

mod creates;
mod erasure;
mod failover;
mod failures;
mod grants;
mod log;
mod migrations;
mod races;
mod start;

use roster_server::store::postgres::PostgresStore;
use tokio_postgres::Client;

use crate::postgres::{Database, options};

/// A store over the database.
fn node(database: &Database) -> PostgresStore {
    PostgresStore::open(options(database.url())).unwrap()
}

/// Waits until so many sessions wait for a lock. The observer must not be in a transaction: it would see the same throughout.
async fn until_blocked(observer: &Client, sessions: i64) {
    const SQL: &str = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()";
    while observer.query_one(SQL, &[]).await.unwrap().get::<_, i64>(0) != sessions {
        tokio::task::yield_now().await;
    }
}
