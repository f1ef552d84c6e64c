//! What is not copied, and what is not copied into: it stays as it is.

use std::fs;

use rusqlite::Connection;

use super::{blank, block_on, copy};
use crate::{
    process::{ROSTER, command, run},
    server::Server,
};

const USAGE: i32 = 64;
const DATA: i32 = 65;
const NOT_FOUND: i32 = 66;
const UNAVAILABLE: i32 = 69;
const CANNOT_CREATE: i32 = 73;
const TRY_AGAIN: i32 = 75;

#[test]
fn what_is_no_source_is_told_apart() {
    let (folder, database) = (tempfile::tempdir().unwrap(), blank());
    let path = folder.path();
    let file = |name: &str| path.join(name);
    Server::on_file(path).stop();
    fs::write(file("diary.db"), "Dear diary\n".repeat(1_000)).unwrap();
    fs::write(file("empty.db"), "").unwrap();
    fs::copy(file("roster.db"), file("old.db")).unwrap();
    Connection::open(file("old.db")).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let damaged = fs::read(file("roster.db")).unwrap();
    let middle = damaged.len() / 2 / 4_096 * 4_096;
    let damaged = [&damaged[..middle], &[0xa5; 4_096], &damaged[middle + 4_096..]].concat();
    fs::write(file("damaged.db"), damaged).unwrap();
    let other = blank();
    for (from, to, code, fragment) in [
        ("sqlite:absent.db", database.url(), NOT_FOUND, "there is no database absent.db"),
        ("sqlite:empty.db", database.url(), NOT_FOUND, "there is no database empty.db"),
        ("sqlite:diary.db", database.url(), DATA, "not a Roster database"),
        ("sqlite:damaged.db", database.url(), DATA, "damaged.db is damaged"),
        ("sqlite:old.db", database.url(), DATA, "start a server of this release on it once"),
        ("sqlite:roster.db", "sqlite:other.db", USAGE, "`roster backup` copies a SQLite file"),
        ("sqlite:roster.db", "sqlite:roster.db", USAGE, "both SQLite files"),
        (database.url(), database.url(), USAGE, "both PostgreSQL databases"),
        ("sqlite::memory:", database.url(), USAGE, "--from takes sqlite:PATH or postgres://"),
        ("roster.db", database.url(), USAGE, "--from takes sqlite:PATH or postgres://"),
        (other.url(), "sqlite:other.db", NOT_FOUND, "is empty: there is nothing to copy"),
        ("sqlite:roster.db", "postgres://roster@127.0.0.1:1/none", UNAVAILABLE, "cannot reach PostgreSQL"),
        ("postgres://roster@127.0.0.1:1/none", "sqlite:other.db", UNAVAILABLE, "cannot reach PostgreSQL"),
    ] {
        let refused = copy(path, from, to);
        assert!(refused.err.contains(fragment), "{from} to {to}: {refused:?}");
        refused.refused(code, &[]);
    }
    assert!(!file("other.db").exists() && !file("absent.db").exists());
    assert_eq!(database.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
    // Nobody is told a password.
    let secret = ["--from", "sqlite:roster.db", "--to", "postgres://ada:hunter2@127.0.0.1:1/none"];
    let refused = run(command(ROSTER, path).arg("copy").args(secret)).with_code(UNAVAILABLE);
    assert!(!refused.err.contains("hunter2"), "{refused:?}");
}

#[test]
fn what_is_there_is_not_copied_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let file = |name: &str| path.join(name);
    let server = Server::on_file(path);
    server.fill(3);
    server.stop();
    let (foreign, served, copied) = (blank(), blank(), blank());
    block_on(async { foreign.connect().await.batch_execute("CREATE TABLE invoices (number INT)").await.unwrap() });
    super::serve_on(path, served.url()).unwrap().stop();
    let refused = |to: &str, fragment: &str| {
        copy(path, "sqlite:roster.db", to).refused(CANNOT_CREATE, &["is not empty", fragment, "left as it is"]);
    };
    refused(foreign.url(), "invoices");
    assert_eq!(foreign.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 1);
    refused(served.url(), "it has a Roster database already");
    super::serve_on(path, served.url()).unwrap().stop();
    copy(path, "sqlite:roster.db", copied.url()).with_code(0);
    refused(copied.url(), "it has a Roster database already");

    fs::write(file("diary.db"), "Dear diary\n".repeat(1_000)).unwrap();
    Connection::open(file("other.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    for (name, fragment) in
        [("diary.db", "another program"), ("other.db", "another program"), ("roster.db", "a Roster database")]
    {
        let before = fs::read(file(name)).unwrap();
        let to = format!("sqlite:{name}");
        copy(path, copied.url(), &to).refused(CANNOT_CREATE, &["is not empty", fragment, "left as it is"]);
        assert_eq!(fs::read(file(name)).unwrap(), before, "{name}");
    }
    // The changes of a file that is gone are not thrown away.
    fs::write(file("gone.db-wal"), "changes").unwrap();
    copy(path, copied.url(), "sqlite:gone.db").refused(DATA, &["it is gone or empty, but"]);
    assert_eq!(fs::read(file("gone.db-wal")).unwrap(), b"changes");
    copy(path, copied.url(), "sqlite:no/such/folder.db").refused(CANNOT_CREATE, &["no/such/folder.db"]);
}

#[test]
fn an_unfinished_copy_of_another_database_is_left_alone() {
    let (one, two, database) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), blank());
    for folder in [&one, &two] {
        let server = Server::on_file(folder.path());
        server.fill(5);
        server.stop();
    }
    copy(one.path(), "sqlite:roster.db", database.url()).with_code(0);
    // As a copy leaves it that is killed before its last step.
    block_on(async {
        let unfinished = "ALTER TABLE roster_schema RENAME TO roster_copy_schema;
            CREATE TABLE roster_copy (source BYTEA NOT NULL, position BIGINT NOT NULL, spoilt BOOLEAN NOT NULL);
            CREATE TABLE roster_copy_indexes (name TEXT PRIMARY KEY, definition TEXT NOT NULL);
            INSERT INTO roster_copy VALUES ('\\x00', 5, FALSE)";
        database.connect().await.batch_execute(unfinished).await.unwrap();
    });
    super::assert_not_served(two.path(), database.url());
    let refused = copy(two.path(), "sqlite:roster.db", database.url());
    refused.refused(CANNOT_CREATE, &["unfinished copy of another database", "left as it is"]);
    assert_eq!(database.number("SELECT count(*) FROM users"), 5);
    // Nor is it a source.
    copy(two.path(), database.url(), "sqlite:new.db").refused(DATA, &["unfinished copy of another database"]);
}

#[test]
fn nobody_writes_to_a_source_while_it_is_copied() {
    let (folder, database) = (tempfile::tempdir().unwrap(), blank());
    let path = folder.path();
    super::serve_on(path, database.url()).unwrap().stop();
    block_on(async {
        let client = database.connect().await;
        client.batch_execute("BEGIN; UPDATE secrets SET name = name").await.unwrap();
        copy(path, database.url(), "sqlite:new.db").refused(TRY_AGAIN, &["somebody writes to it", "stop it"]);
        client.batch_execute("ROLLBACK").await.unwrap();
        copy(path, database.url(), "sqlite:new.db").with_code(0);

        // And one copies into it.
        let other = blank();
        let client = other.connect().await;
        client.batch_execute("SELECT pg_advisory_lock(x'636f7079'::BIGINT)").await.unwrap();
        copy(path, "sqlite:new.db", other.url()).refused(TRY_AGAIN, &["another process copies into it"]);
        client.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
        copy(path, "sqlite:new.db", other.url()).with_code(0);
    });
}
