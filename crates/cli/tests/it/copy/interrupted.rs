//! Copies that are killed, run out of room, or find that their source has changed.

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use roster_api::user::v1::CreateUserRequest;

use super::{assert_not_served, assert_same, blank, block_on, copy, number, serve_on};
use crate::{
    postgres::Database,
    process::{ROSTER, command, run},
    server::{Server, new_user},
};

/// Users of 16 KiB each: some pieces of each table that has them.
const USERS: usize = 900;
const DATA: i32 = 65;
const CANNOT_CREATE: i32 = 73;

/// A file with many users, whom nobody serves.
fn large_source(folder: &Path) {
    let server = Server::on_file(folder);
    block_on(async {
        let mut client = server.client().await;
        for number in 0..USERS {
            let attributes = (0..16).map(|key| (format!("key-{key}"), "x".repeat(1_000))).collect();
            let user = CreateUserRequest { attributes, ..new_user(&format!("user-{number:04}")) };
            client.create_user(user).await.unwrap();
        }
    });
    server.stop();
}

/// Copies, and is killed once this query counts something where it is copied to.
fn copy_until(folder: &Path, database: &Database, sql: &str) {
    let args = ["copy", "--from", "sqlite:roster.db", "--to", database.url()];
    let mut child = command(ROSTER, folder).args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    block_on(async {
        let client = database.connect().await;
        while number(&client, sql).await == 0 {
            assert!(child.try_wait().unwrap().is_none(), "it ended before {sql}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_copy_that_is_killed_again_and_again_goes_on_where_it_was() {
    let (folder, database) = (tempfile::tempdir().unwrap(), blank());
    let path = folder.path();
    large_source(path);
    let mut rows = 0;
    for sql in ["SELECT count(*) FROM roster_copy", "SELECT count(*) FROM users", "SELECT count(*) FROM changes"] {
        copy_until(path, &database, sql);
        assert_not_served(path, database.url());
        let there = database.number("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM changes)");
        assert!(there >= rows && there < 2 * USERS as i64, "{there} of what had {rows} before {sql}");
        rows = there;
    }
    assert!(rows > 0);
    let done = copy(path, "sqlite:roster.db", database.url()).with_code(0).json().remove(0);
    assert!(done["rowsFound"].as_i64().unwrap() >= rows, "{done}");
    copy(path, database.url(), "sqlite:mirror.db").with_code(0);
    assert_same(&path.join("roster.db"), &path.join("mirror.db"));
    // Indexes and sequences are there again.
    let indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = current_schema()";
    assert_eq!(database.number(indexes), Database::new().number(indexes));
    assert_eq!(database.number("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'roster_copy%'"), 0);
    let server = serve_on(path, database.url()).unwrap();
    server.fill(1);
    assert_eq!(server.roster(&["user", "search", "user-089", "--output", "json"]).with_code(0).json().len(), 10);
}

/// The limit on the size of files stands for the full disk, as in `disk_full.rs`.
#[test]
fn a_full_disk_is_told_and_the_copy_goes_on_when_there_is_room() {
    let (folder, database) = (tempfile::tempdir().unwrap(), blank());
    let path = folder.path();
    large_source(path);
    copy(path, "sqlite:roster.db", database.url()).with_code(0);
    let blocks = (20 << 20) / 512;
    let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" copy --from \"$1\" --to sqlite:back.db");
    let limited = || run(command("sh", path).args(["-c", &script, ROSTER, database.url()]));
    for _ in 0..2 {
        limited().refused(CANNOT_CREATE, &["cannot write", "back.db", "make room", "run the same command again"]);
        assert_not_served(path, "sqlite:back.db");
    }
    let done = copy(path, database.url(), "sqlite:back.db").with_code(0).json().remove(0);
    assert!(done["rowsFound"].as_i64().unwrap() > 0, "{done}");
    assert_same(&path.join("roster.db"), &path.join("back.db"));
}

#[test]
fn what_was_copied_before_the_source_changed_is_not_taken_for_it() {
    let (folder, database) = (tempfile::tempdir().unwrap(), blank());
    let path = folder.path();
    large_source(path);
    // The log has moved between two runs: the second begins anew by itself.
    copy_until(path, &database, "SELECT count(*) FROM users");
    let server = Server::on_file(path);
    server.roster(&["user", "delete", "user-0000", "--yes"]).with_code(0);
    server.stop();
    let done = copy(path, "sqlite:roster.db", database.url()).with_code(0).json().remove(0);
    assert_eq!(done["rowsFound"], 0, "{done}");
    assert_eq!(database.number("SELECT count(*) FROM users"), USERS as i64 - 1);

    // Something has changed of which the log says nothing: the comparison finds it.
    let cut = |to: &Path| {
        let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" copy --from \"$1\" --to sqlite:back.db", (20 << 20) / 512);
        let ended = run(command("sh", path).args(["-c", &script, ROSTER, database.url()]));
        assert!(ended.with_code(CANNOT_CREATE).err.contains("cannot write") && to.exists());
    };
    cut(&path.join("back.db"));
    block_on(async {
        let client = database.connect().await;
        client.execute("UPDATE users SET name = 'Mallory' WHERE email = 'user-0001@example.com'", &[]).await.unwrap();
    });
    let differs = copy(path, database.url(), "sqlite:back.db");
    let fragments = ["the copy does not have what the source has: users", "users: 899 rows with checksum", "begins anew"];
    differs.refused(DATA, &fragments);
    assert_not_served(path, "sqlite:back.db");
    let done = copy(path, database.url(), "sqlite:back.db").with_code(0).json().remove(0);
    assert_eq!(done["rowsFound"], 0, "{done}");
    let name = "SELECT count(*) FROM users WHERE name = 'Mallory'";
    let back = rusqlite::Connection::open(path.join("back.db")).unwrap();
    assert_eq!(back.query_row(name, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

/// Whoever is killed in the very last step has a journal beside the file; SQLite takes the step back.
#[test]
fn a_file_is_copied_into_by_one_at_a_time() {
    let (folder, database) = (tempfile::tempdir().unwrap(), blank());
    let path = folder.path();
    Server::on_file(path).stop();
    copy(path, "sqlite:roster.db", database.url()).with_code(0);
    fs::write(path.join("new.db"), "").unwrap();
    let held = fs::File::open(path.join("new.db")).unwrap();
    held.lock().unwrap();
    copy(path, database.url(), "sqlite:new.db").refused(75, &["new.db is in use"]);
    drop(held);
    copy(path, database.url(), "sqlite:new.db").with_code(0);
    thread::scope(|scope| {
        // Whoever comes second waits, or finds what the first has made.
        let other = blank();
        let copies: Vec<_> =
            (0..2).map(|_| scope.spawn(|| copy(path, database.url(), "sqlite:once.db").code)).collect();
        let mut codes: Vec<_> = copies.into_iter().map(|copy| copy.join().unwrap()).collect();
        codes.sort();
        assert!(codes[0] == Some(0) && [Some(73), Some(75)].contains(&codes[1]), "{codes:?}");
        drop(other);
    });
}
