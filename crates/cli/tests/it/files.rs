//! Files that a command is told to write: what is precious, or no file at all, is never replaced.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::Path,
    process::{Command, Stdio},
};

use rusqlite::Connection;

use crate::{
    backup::{names, users_in},
    process::{Ended, ROSTER, command, run},
    server::{Server, serve},
};

const USAGE: i32 = 64;
const DATA: i32 = 65;
const CANNOT_CREATE: i32 = 73;
const TRY_AGAIN: i32 = 75;

const USERS: usize = 20;
/// What stands beside `roster.db`, or could.
const BESIDE: [&str; 8] = ["-wal", "-shm", "-journal", "-search", "-search-wal", "-search-shm", ".lock", ".sock"];

fn roster(folder: &Path, args: &[&str]) -> Ended {
    run(command(ROSTER, folder).args(args))
}

/// `roster …` as a user of this server, in this folder.
fn call(server: &Server, folder: &Path, args: &[&str]) -> Ended {
    run(command(ROSTER, folder).env("ROSTER_SERVER", &server.grpc).args(args))
}

/// A server on the database `name`.
fn serving(folder: &Path, name: &str) -> Server {
    Server::start(serve(folder).args(["--database-url", &format!("sqlite:{name}")]))
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Every file of the database `roster.db`, by what tells files of one name apart.
fn identities(folder: &Path) -> Vec<(String, u64)> {
    let mut files: Vec<_> = names(folder, "roster.db")
        .into_iter()
        .map(|name| {
            let data = fs::symlink_metadata(folder.join(&name)).unwrap();
            (name, data.ino())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_backup_is_not_read_together_with_what_was_left_beside_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = Server::on_file(folder.path());
    server.fill(USERS);
    let backup = |more: &[&str]| roster(folder.path(), &[&["backup", "copy.db"], more].concat());

    // What another Roster serves is not replaced.
    let other = serving(folder.path(), "copy.db");
    let pid = other.pid().as_raw_nonzero().to_string();
    other.fill(USERS * 10);
    backup(&["--force"]).refused(TRY_AGAIN, &["copy.db is in use by process", &pid]);
    assert_eq!(call(&other, folder.path(), &["export", "-"]).with_code(0).json().len(), USERS * 10);

    other.kill();
    assert!(fs::metadata(path("copy.db-wal")).unwrap().len() > 0);
    fs::write(path("copy.db-journal"), "of another").unwrap();
    backup(&["--force"]).with_code(0);
    assert_eq!(users_in(&path("copy.db")).len(), USERS);
    let mut left = names(folder.path(), "copy.db");
    left.sort();
    assert_eq!(left, ["copy.db", "copy.db.lock", "copy.db.sock"]);

    // A log without its database too.
    let other = serving(folder.path(), "copy.db");
    other.roster(&["user", "create", "--email", "new@example.com"]).with_code(0);
    other.kill();
    fs::remove_file(path("copy.db")).unwrap();
    backup(&[]).refused(CANNOT_CREATE, &["copy.db-wal is there already", "--force"]);
    assert!(!path("copy.db").exists());
    backup(&["--force"]).with_code(0);
    assert_eq!(users_in(&path("copy.db")).len(), USERS);
    server.stop();
}

#[test]
fn a_backup_replaces_nothing_that_belongs_to_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on_file(folder.path());
    server.fill(USERS);
    fs::hard_link(folder.path().join("roster.db-wal"), folder.path().join("hard")).unwrap();
    symlink("roster.db-wal", folder.path().join("soft")).unwrap();
    let before = identities(folder.path());
    let other_names = ["hard", "soft"].map(str::to_owned);
    for name in BESIDE.map(|suffix| format!("roster.db{suffix}")).iter().chain(&other_names) {
        let refused = roster(folder.path(), &["backup", name, "--force"]);
        refused.refused(USAGE, &["belongs to the database", "roster.db", "name another file"]);
        // Of another database.
        if name.starts_with("roster.db") {
            let args = ["backup", name, "--force", "--database-url", "sqlite:other.db"];
            roster(folder.path(), &args).refused(USAGE, &["belongs to the database"]);
        }
    }
    fs::hard_link(folder.path().join("roster.db"), folder.path().join("same")).unwrap();
    roster(folder.path(), &["backup", "same", "--force"]).refused(USAGE, &["is the database itself"]);
    fifo(&folder.path().join("fifo"));
    roster(folder.path(), &["backup", "fifo", "--force"]).refused(CANNOT_CREATE, &["it is a FIFO"]);
    assert!(fs::metadata(folder.path().join("fifo")).unwrap().file_type().is_fifo());
    assert_eq!(identities(folder.path()), before);
    server.stop();
}

#[test]
fn an_export_replaces_a_file_only_if_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = Server::on_file(folder.path());
    server.fill(USERS);
    let export = |args: &[&str]| call(&server, folder.path(), &[&["export"], args].concat());
    let lines = |name: &str| fs::read_to_string(path(name)).unwrap().lines().count();
    fs::write(path("mine.jsonl"), "mine").unwrap();
    export(&["mine.jsonl"]).refused(CANNOT_CREATE, &["mine.jsonl is there already", "--force", "-"]);
    assert_eq!(fs::read(path("mine.jsonl")).unwrap(), b"mine");
    export(&["mine.jsonl", "--force"]).with_code(0);
    assert_eq!(lines("mine.jsonl"), USERS);

    // A symbolic link is followed, whether or not something is there.
    symlink("new.jsonl", path("link")).unwrap();
    export(&["link"]).with_code(0);
    assert_eq!(lines("new.jsonl"), USERS);
    export(&["link"]).refused(CANNOT_CREATE, &["new.jsonl is there already"]);
    export(&["link", "--force"]).with_code(0);
    assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
    server.stop();
}

#[test]
fn an_export_goes_into_what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = Server::on_file(folder.path());
    server.fill(USERS);
    let export = |args: &[&str]| call(&server, folder.path(), &[&["export"], args].concat());
    assert_eq!(export(&["/dev/stdout"]).with_code(0).json().len(), USERS);
    // Which may be a file that the shell has made.
    let mut to_file = command(ROSTER, folder.path());
    to_file.env("ROSTER_SERVER", &server.grpc).args(["export", "/dev/stdout"]);
    let status = to_file.stdout(File::create(path("out")).unwrap()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success() && fs::read_to_string(path("out")).unwrap().lines().count() == USERS);

    symlink("/dev/null", path("null")).unwrap();
    export(&["null"]).with_code(0);
    assert!(fs::metadata(path("null")).unwrap().file_type().is_char_device());
    fifo(&path("fifo"));
    let reader = Command::new("cat").arg(path("fifo")).stdout(Stdio::piped()).spawn().unwrap();
    export(&["fifo"]).with_code(0);
    assert_eq!(Ended::from(reader.wait_with_output().unwrap()).json().len(), USERS);
    assert!(fs::metadata(path("fifo")).unwrap().file_type().is_fifo());
    let _listener = UnixListener::bind(path("socket")).unwrap();
    export(&["socket", "--force"]).refused(CANNOT_CREATE, &["socket"]);
    assert!(fs::metadata(path("socket")).unwrap().file_type().is_socket());
    server.stop();
}

#[test]
fn neither_an_export_nor_failed_rows_go_over_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = Server::on_file(folder.path());
    server.fill(USERS);
    Connection::open(path("other.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    // One that is lost, but for its log.
    fs::write(path("lost.db"), "").unwrap();
    fs::write(path("lost.db-wal"), "changes").unwrap();
    symlink("roster.db", path("soft")).unwrap();
    fs::hard_link(path("roster.db-wal"), path("hard")).unwrap();
    fs::write(path("rows.csv"), "email\nnew@example.com\nnobody\n").unwrap();
    let before = identities(folder.path());
    let database = ["roster.db", "other.db", "lost.db", "soft", "hard"].map(str::to_owned);
    let beside = BESIDE.map(|suffix| format!("roster.db{suffix}"));
    for name in database.iter().chain(&beside) {
        call(&server, folder.path(), &["export", name, "--force"]).refused(CANNOT_CREATE, &["cannot", name]);
        let failed = call(&server, folder.path(), &["import", "rows.csv", "--failed", name]);
        failed.refused(CANNOT_CREATE, &["cannot", name]);
    }
    assert_eq!(identities(folder.path()), before);
    let users = call(&server, folder.path(), &["export", "-"]).with_code(0).json();
    assert_eq!(users.len(), USERS, "nothing was imported before the refusal");

    // What an earlier run has left is put aside, and what else has its bytes keeps them.
    fs::write(path("rows.csv.failed.csv"), "mine").unwrap();
    fs::set_permissions(path("rows.csv.failed.csv"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(path("rows.csv.failed.csv"), path("kept")).unwrap();
    call(&server, folder.path(), &["import", "rows.csv"]).with_code(DATA);
    assert!(fs::read_to_string(path("rows.csv.failed.csv")).unwrap().contains("nobody"));
    assert_eq!(fs::metadata(path("rows.csv.failed.csv")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(path("kept")).unwrap(), b"mine");
    symlink("/dev/stderr", path("stderr")).unwrap();
    let told = call(&server, folder.path(), &["import", "rows.csv", "--fresh", "--failed", "stderr"]).with_code(DATA);
    assert!(told.err.contains("reason,email\n"), "{told:?}");
    server.stop();
    assert_eq!(users_of(&path("roster.db")), USERS + 1);
}

fn users_of(database: &Path) -> usize {
    let database = Connection::open(database).unwrap();
    database.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0)).unwrap() as usize
}

#[test]
fn what_is_no_database_gets_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("diary"), "root:x:0:0:root:/root:/bin/sh\n".repeat(50)).unwrap();
    Connection::open(path("other.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    fifo(&path("fifo"));
    symlink("/dev/null", path("null")).unwrap();
    let mut before = names(folder.path(), "");
    before.sort();
    for (name, why) in [
        ("diary", "not an SQLite file"),
        ("other.db", "another program"),
        ("fifo", "it is a FIFO"),
        ("null", "it is a device"),
    ] {
        let url = format!("sqlite:{name}");
        let refused: &[&str] = &[name, "is not a Roster database", why, "another database_url"];
        run(serve(folder.path()).args(["--database-url", &url])).refused(DATA, refused);
        let admin = ["admin", "create", "--email", "ada@example.com", "--database-url", &url];
        let mut sh = command("sh", folder.path());
        let admin = sh.args(["-c", "echo a long password of mine | \"$0\" \"$@\"", ROSTER]).args(admin);
        run(admin).refused(DATA, refused);
        let copy = ["copy", "--from", &url, "--to", "postgres://127.0.0.1:1/none"];
        assert!(roster(folder.path(), &copy).code.is_some_and(|code| code != 0), "{name}");
        let doctor = roster(folder.path(), &["doctor", "--dev", "--database-url", &url]);
        assert!(doctor.out.contains(name) && doctor.code.is_some_and(|code| code != 0), "{doctor:?}");
        let mut after = names(folder.path(), "");
        after.sort();
        assert_eq!(after, before, "{name}");
    }
}
