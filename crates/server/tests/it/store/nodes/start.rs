//! Databases that are migrated, and those that cannot be served.

use std::net::TcpListener;

use roster_server::store::{
    Store as _,
    postgres::{NEWEST_SCHEMA, OpenError, PostgresStore, inspect},
};
use url::Url;

use super::node;
use crate::{
    postgres::{Database, options},
    store::{create, user},
};

fn refusal(url: &str) -> OpenError {
    PostgresStore::open(options(url)).unwrap_err()
}

#[tokio::test]
async fn servers_that_start_at_once_migrate_once() {
    let database = Database::blank();
    assert_eq!(inspect(&options(database.url()).url).await.unwrap().schema, None);
    let stores: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..6).map(|_| scope.spawn(|| node(&database))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    for (number, store) in stores.iter().enumerate() {
        create(store, &user(&format!("user{number}"))).await.unwrap();
    }
    assert_eq!(inspect(&options(database.url()).url).await.unwrap().schema, Some(NEWEST_SCHEMA));
    for store in stores {
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let database = Database::blank();
    let owner = database.connect().await;
    owner.batch_execute("CREATE TABLE invoices (number INT)").await.unwrap();
    let refused = refusal(database.url());
    assert!(matches!(refused, OpenError::NotOurs { .. }) && refused.to_string().contains("invoices"), "{refused}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(owner.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_newer_schema_is_served_if_it_says_so() {
    let database = Database::new();
    node(&database).close().await;
    let owner = database.connect().await;
    let newer = "INSERT INTO roster_schema (version, checksum, serves_from) VALUES ($1, '', $2)";
    owner.execute(newer, &[&(NEWEST_SCHEMA + 1), &NEWEST_SCHEMA]).await.unwrap();
    node(&database).close().await;
    owner
        .execute("UPDATE roster_schema SET serves_from = $1 WHERE version = $1", &[&(NEWEST_SCHEMA + 1)])
        .await
        .unwrap();
    assert!(matches!(refusal(database.url()), OpenError::NewerSchema { .. }));
    owner.batch_execute("UPDATE roster_schema SET checksum = 'another' WHERE version = 1").await.unwrap();
    assert!(matches!(refusal(database.url()), OpenError::NotOurs { .. }));
}

#[tokio::test]
async fn what_cannot_be_served_is_told_apart() {
    let database = Database::blank();
    let owner = database.connect().await;
    let with = |change: &dyn Fn(&mut Url)| {
        let mut url = Url::parse(database.url()).unwrap();
        change(&mut url);
        refusal(url.as_str())
    };
    let nowhere = with(&|url| {
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(1)).unwrap();
    });
    assert!(matches!(nowhere, OpenError::Unreachable { .. }), "{nowhere}");
    let absent = with(&|url| url.set_path("there_is_none_of_this_name"));
    assert!(matches!(absent, OpenError::NoDatabase { .. }), "{absent}");
    let unknown = with(&|url| url.set_username("nobody_of_this_name").unwrap());
    assert!(matches!(unknown, OpenError::Refused { .. }), "{unknown}");

    let run = async |sql: &str| {
        let name: String = owner.query_one("SELECT current_database()::TEXT", &[]).await.unwrap().get(0);
        owner.batch_execute(&sql.replace("DATABASE", &format!("DATABASE {name}"))).await.unwrap();
    };
    run("ALTER DATABASE SET default_transaction_read_only = on").await;
    let read_only = refusal(database.url());
    assert!(matches!(read_only, OpenError::ReadOnly { .. }), "{read_only}");
    owner.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    run("ALTER DATABASE RESET default_transaction_read_only").await;
    let role = format!("guest_{}", std::process::id());
    owner
        .batch_execute(&format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        .await
        .unwrap();
    let guest = with(&|url| url.set_username(&role).unwrap());
    assert!(matches!(guest, OpenError::NoExtension { .. } | OpenError::NotAllowed { .. }), "{guest}");
    owner.batch_execute(&format!("DROP ROLE {role}")).await.unwrap();
    for error in [nowhere, absent, unknown, read_only, guest] {
        assert!(!error.mend().is_empty() && !error.to_string().contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn a_host_that_says_nothing_is_passed_over() {
    let database = Database::new();
    // The system accepts its connections, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = database.url().replacen('@', &format!("@{},", silent.local_addr().unwrap()), 1);
    assert_ne!(url, database.url());
    let store = PostgresStore::open(options(&url)).unwrap();
    // Connections for commands, for reads of single rows, and for the log.
    let ada = create(&store, &user("ada")).await.unwrap();
    assert!(store.find_user(&ada.id).await.unwrap().is_some());
    store.close().await;
}
