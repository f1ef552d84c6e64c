//! Copies that are killed, run out of room, or find that their source has changed.

use std::{
    fs,
    os::unix::fs::{FileExt as _, MetadataExt as _, chown},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

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
const TRY_AGAIN: i32 = 75;

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
    server.roster(&["user", "create", "--email", "one-more@example.com"]).with_code(0);
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
        let script = format!(
            "trap '' XFSZ; ulimit -S -f {}; exec \"$0\" copy --from \"$1\" --to sqlite:back.db",
            (20 << 20) / 512
        );
        let ended = run(command("sh", path).args(["-c", &script, ROSTER, database.url()]));
        assert!(ended.with_code(CANNOT_CREATE).err.contains("cannot write") && to.exists());
    };
    cut(&path.join("back.db"));
    block_on(async {
        let client = database.connect().await;
        client.execute("UPDATE users SET name = 'Mallory' WHERE email = 'user-0001@example.com'", &[]).await.unwrap();
    });
    let differs = copy(path, database.url(), "sqlite:back.db");
    let fragments =
        ["the copy does not have what the source has: users", "users: 899 rows with checksum", "begins anew"];
    differs.refused(DATA, &fragments);
    assert_not_served(path, "sqlite:back.db");
    let done = copy(path, database.url(), "sqlite:back.db").with_code(0).json().remove(0);
    assert_eq!(done["rowsFound"], 0, "{done}");
    let name = "SELECT count(*) FROM users WHERE name = 'Mallory'";
    let back = rusqlite::Connection::open(path.join("back.db")).unwrap();
    assert_eq!(back.query_row(name, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[test]
fn a_file_is_copied_into_by_one_at_a_time_and_belongs_to_the_owner_of_its_folder() {
    let (folder, database) = (tempfile::tempdir().unwrap(), blank());
    let path = folder.path();
    Server::on_file(path).stop();
    copy(path, "sqlite:roster.db", database.url()).with_code(0);
    fs::write(path.join("new.db"), "").unwrap();
    let held = fs::File::open(path.join("new.db")).unwrap();
    held.lock().unwrap();
    copy(path, database.url(), "sqlite:new.db").refused(TRY_AGAIN, &["new.db is in use"]);
    drop(held);
    copy(path, database.url(), "sqlite:new.db").with_code(0);
    let codes = thread::scope(|scope| {
        let copies: Vec<_> =
            (0..2).map(|_| scope.spawn(|| copy(path, database.url(), "sqlite:once.db").code)).collect();
        copies.into_iter().map(|copy| copy.join().unwrap()).collect::<Vec<_>>()
    });
    // Whoever comes second meets the first, or finds what it has made.
    assert!(codes.contains(&Some(0)) && codes.iter().any(|code| *code != Some(0)), "{codes:?}");
    assert_same(&path.join("roster.db"), &path.join("once.db"));

    // Only root can give files away.
    let data = path.join("data");
    fs::create_dir(&data).unwrap();
    let owner = |path: &Path| fs::metadata(path).map(|data| (data.uid(), data.gid())).unwrap();
    let wanted = if rustix::process::geteuid().is_root() { (65_532, 65_533) } else { owner(&data) };
    chown(&data, Some(wanted.0), Some(wanted.1)).unwrap();
    copy(path, database.url(), "sqlite:data/roster.db").with_code(0);
    for name in ["roster.db", "roster.db.lock"] {
        assert_eq!(owner(&data.join(name)), wanted, "{name}");
    }
    assert_eq!(fs::metadata(data.join("roster.db")).unwrap().mode() & 0o777, 0o600);
}

/// A kill between the last write and the end of its transaction leaves a file that says it is finished, and a journal
/// that says it is not.
#[test]
fn a_last_step_that_was_cut_off_has_not_happened() {
    let (folder, database) = (tempfile::tempdir().unwrap(), blank());
    let path = folder.path();
    let server = Server::on_file(path);
    server.fill(3);
    server.stop();
    copy(path, "sqlite:roster.db", database.url()).with_code(0);
    let script =
        format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" copy --from \"$1\" --to sqlite:back.db", 64 << 10 >> 9);
    run(command("sh", path).args(["-c", &script, ROSTER, database.url()])).with_code(CANNOT_CREATE);
    assert_not_served(path, "sqlite:back.db");
    let half = rusqlite::Connection::open(path.join("back.db")).unwrap();
    half.pragma_update(None, "cache_spill", 1).unwrap();
    half.pragma_update(None, "cache_size", 1).unwrap();
    half.execute_batch("BEGIN; PRAGMA application_id = 0x52737472; CREATE TABLE filler (x)").unwrap();
    half.execute_batch(
        "INSERT INTO filler WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
                        SELECT randomblob(4000) FROM n",
    )
    .unwrap();
    // As the kill leaves both files.
    for (from, to) in [("back.db", "cut.db"), ("back.db-journal", "cut.db-journal")] {
        fs::copy(path.join(from), path.join(to)).unwrap();
    }
    drop(half);
    // Where the header is, of which the journal has what was there before.
    fs::File::options().write(true).open(path.join("cut.db")).unwrap().write_all_at(b"Rstr", 68).unwrap();
    copy(path, database.url(), "sqlite:cut.db").with_code(0);
    assert_same(&path.join("roster.db"), &path.join("cut.db"));
}
