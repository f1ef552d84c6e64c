//! Backups that are made while clients write, and databases that are restored from them.

use std::{
    collections::HashSet,
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use roster_api::user::v1::{WatchUsersRequest, watch_users_request::Start};
use rusqlite::Connection;

use crate::{
    database::{assert_consistent, users},
    process::{Ended, ROSTER, command, run},
    server::{Server, new_user, serve},
};

const USAGE: i32 = 64;
const DATA: i32 = 65;
const NOT_FOUND: i32 = 66;
const CANNOT_CREATE: i32 = 73;
const TRY_AGAIN: i32 = 75;
const REFUSED: i32 = 77;

/// Clients that write while a backup is made.
const WRITERS: usize = 4;

fn roster(folder: &Path, args: &[&str]) -> Ended {
    run(command(ROSTER, folder).args(args))
}

/// Users that were acknowledged.
type Acknowledged = Arc<Mutex<HashSet<String>>>;

/// Clients that create users until they are told to stop.
struct Load {
    acknowledged: Acknowledged,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Load {
    fn on(server: &Server) -> Self {
        let (acknowledged, stop) = (Acknowledged::default(), Arc::new(AtomicBool::new(false)));
        let clients = vec![server.grpc.clone(); WRITERS];
        let (told, stopped) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut tasks = Vec::new();
                for (writer, grpc) in clients.into_iter().enumerate() {
                    let (told, stopped) = (Arc::clone(&told), Arc::clone(&stopped));
                    tasks.push(tokio::spawn(async move {
                        let mut users = roster_api::Client::connect(&grpc).await.unwrap().users();
                        for number in 0.. {
                            if stopped.load(Ordering::Relaxed) {
                                break;
                            }
                            let id = format!("w{writer}-{number}");
                            users.create_user(new_user(&id)).await.unwrap();
                            told.lock().unwrap().insert(id);
                        }
                    }));
                }
                for task in tasks {
                    task.await.unwrap();
                }
            });
        };
        Self { acknowledged, stop, thread: thread::spawn(run) }
    }

    fn acknowledged(&self) -> HashSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Ends it; gives everybody who was acknowledged.
    fn end(self) -> HashSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.acknowledged.lock().unwrap().clone()
    }
}

/// The users of a database that is one whole file for its owner alone.
pub fn users_in(file: &Path) -> HashSet<String> {
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let database = Connection::open(file).unwrap();
    assert_consistent(&database);
    let mode: String = database.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "it needs no file beside it");
    users(&database).into_keys().collect()
}

/// Names in a folder that start so.
pub fn names(folder: &Path, start: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}

#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_and_comes_back() {
    let (folder, safe) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup = safe.path().join("backup.db");
    let file = backup.to_str().unwrap();
    let server = Server::on_file(folder.path());
    server.fill(300);
    let load = Load::on(&server);
    let before = load.acknowledged();
    let made = roster(folder.path(), &["backup", file, "--output", "json"]).with_code(0).json().remove(0);
    let within = load.acknowledged();
    // While it goes on writing: a name that is taken stays what it is, unless it is to be replaced.
    roster(folder.path(), &["backup", file]).refused(CANNOT_CREATE, &["backup.db is there already", "--force"]);
    roster(folder.path(), &["backup", file, "--force"]).with_code(0);
    let all = load.end();
    let kept = users_in(&backup);
    assert!(before.is_subset(&kept) && within.is_subset(&kept) && kept.len() >= 300 + within.len(), "{}", kept.len());
    assert!(made["users"].as_u64().unwrap() >= 300 && made["users"] == made["changes"], "{made}");
    assert_eq!(names(safe.path(), ""), ["backup.db"]);

    // A watch that has come further than the backup.
    let (kept, known) = (kept.len(), all.len() + 300);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    server.roster(&["user", "create", "--id", "late", "--email", "late@example.com"]).with_code(0);
    let token = runtime.block_on(async {
        let mut users = server.client().await;
        let told = users.watch_users(WatchUsersRequest::default()).await.unwrap().into_inner().message().await.unwrap();
        told.unwrap().resume_token
    });

    // Nothing is restored under a server; a kill leaves its log behind.
    let pid = server.pid().as_raw_nonzero().to_string();
    roster(folder.path(), &["restore", file, "--force"]).refused(TRY_AGAIN, &["roster.db is in use by process", &pid]);
    server.kill();
    roster(folder.path(), &["restore", file]).refused(CANNOT_CREATE, &["roster.db is there already", "--force"]);
    let restored = roster(folder.path(), &["restore", file, "--force"]).with_code(0);
    assert!(restored.out.starts_with("roster.db has ") && restored.out.contains("API keys are as they were"));
    let replaced = names(folder.path(), "roster.db.replaced-");
    assert_eq!(replaced.len(), 1, "{replaced:?}");
    let replaced = folder.path().join(&replaced[0]);
    assert_eq!(Connection::open(&replaced).and_then(|old| count(&old, "users")).unwrap(), known as i64 + 1);
    let mode = fs::metadata(folder.path().join("roster.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let server = Server::on_file(folder.path());
    let listed = server.roster(&["user", "list", "--all", "--output", "json"]).with_code(0);
    assert_eq!(listed.json().len(), kept);
    server.roster(&["user", "get", "late"]).with_code(NOT_FOUND);
    assert_eq!(server.roster(&["user", "search", "user-0299", "--output", "json"]).with_code(0).json().len(), 1);
    let audit = server.roster(&["audit", "list", "--limit", "1", "--output", "json"]).with_code(0).json().remove(0);
    assert_eq!(audit["action"], "database.restored");
    // However far the new log comes, the token is of another one.
    let refused = ["watch", "--resume-token", &token];
    let fragments = ["RESUME_TOKEN_INVALID", "start again with a snapshot", "--snapshot"];
    server.roster(&refused).refused(DATA, &fragments);
    server.roster(&["user", "create", "--id", "new", "--email", "new@example.com"]).with_code(0);
    runtime.block_on(async {
        let mut users = server.client().await;
        for number in 0..=known - kept {
            users.create_user(new_user(&format!("again-{number}"))).await.unwrap();
        }
    });
    server.roster(&refused).refused(DATA, &fragments);
    runtime.block_on(async {
        let mut users = server.client().await;
        let request = WatchUsersRequest { start: Some(Start::Snapshot(true)), ..Default::default() };
        users.watch_users(request).await.unwrap().into_inner().message().await.unwrap().unwrap();
    });
    server.stop();
    // What was there comes back just so.
    let file = replaced.to_str().unwrap();
    roster(folder.path(), &["restore", file, "--database-url", "sqlite:other.db"]).with_code(0);
    let other = Connection::open(folder.path().join("other.db")).unwrap();
    assert_eq!(count(&other, "users").unwrap(), known as i64 + 1);
}

fn count(database: &Connection, table: &str) -> rusqlite::Result<i64> {
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = Server::on_file(folder.path());
    server.fill(200);
    roster(folder.path(), &["backup", "good.db"]).with_code(0);
    server.stop();
    let good = fs::read(path("good.db")).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4_096].fill(0xa5);
    fs::write(path("damaged.db"), damaged).unwrap();
    fs::write(path("cut.db"), &good[..good.len() - 8_192]).unwrap();
    fs::write(path("diary.db"), "Dear diary\n".repeat(1_000)).unwrap();
    fs::write(path("empty.db"), "").unwrap();
    Connection::open(path("other.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let newer = Connection::open(path("newer.db")).unwrap();
    newer.execute_batch("CREATE TABLE t (x); PRAGMA application_id = 0x52737472; PRAGMA user_version = 999").unwrap();
    drop(newer);
    let before = fs::read(path("roster.db")).unwrap();

    for (file, code, fragment) in [
        ("damaged.db", DATA, "damaged.db is damaged"),
        ("cut.db", DATA, "cut.db is damaged"),
        ("diary.db", DATA, "diary.db is not a Roster database"),
        ("other.db", DATA, "another program"),
        ("newer.db", DATA, "schema 999"),
        ("empty.db", NOT_FOUND, "there is no backup empty.db"),
        ("absent.db", NOT_FOUND, "there is no backup absent.db"),
        ("roster.db", USAGE, "is the database itself"),
    ] {
        for database in ["sqlite:roster.db", "sqlite:fresh.db"] {
            if (file, database) != ("roster.db", "sqlite:fresh.db") {
                let args = ["restore", file, "--force", "--database-url", database];
                roster(folder.path(), &args).refused(code, &[fragment]);
            }
        }
        roster(folder.path(), &["backup", "copy.db", "--database-url", &format!("sqlite:{file}")])
            .code
            .filter(|code| *code != 0 || file == "roster.db")
            .unwrap_or_else(|| panic!("{file} was copied"));
        let _ = fs::remove_file(path("copy.db"));
    }
    assert_eq!(fs::read(path("roster.db")).unwrap(), before);
    // What is damaged is replaced by what is not, and kept with its log.
    fs::write(path("hurt.db"), "Dear diary\n".repeat(1_000)).unwrap();
    fs::write(path("hurt.db-wal"), "and more").unwrap();
    fs::write(path("hurt.db-search"), "of another").unwrap();
    roster(folder.path(), &["restore", "good.db", "--force", "--database-url", "sqlite:hurt.db"]).with_code(0);
    let mut kept = names(folder.path(), "hurt.db.replaced-");
    kept.sort();
    assert!(kept.len() == 2 && kept[1] == format!("{}-wal", kept[0]), "{kept:?}");
    assert!(fs::read(path(&kept[0])).unwrap().starts_with(b"Dear diary"));
    assert_eq!(fs::read(path(&kept[1])).unwrap(), b"and more");
    assert!(!path("hurt.db-wal").exists() && !path("hurt.db-search").exists());
    let mut hurt = serve(folder.path());
    let server = Server::start(hurt.args(["--database-url", "sqlite:hurt.db"]));
    assert_eq!(server.roster(&["user", "list", "--all", "--output", "json"]).with_code(0).json().len(), 200);
    server.stop();
    let left: Vec<_> = [names(folder.path(), "fresh.db"), names(folder.path(), "roster.db.")].concat();
    assert!(left.iter().all(|name| name.ends_with(".lock")), "{left:?}");
    roster(folder.path(), &["backup", "x.db", "--database-url", "sqlite::memory:"]).refused(USAGE, &["in a file"]);
    roster(folder.path(), &["backup", "no/such/x.db"]).refused(CANNOT_CREATE, &["no/such/x.db."]);
    roster(folder.path(), &["backup", "roster.db"]).refused(USAGE, &["is the database itself"]);
    // What a kill has left behind goes; what is no file of ours stays, and is written to by nobody.
    for suffix in ["", "-journal", "-wal"] {
        fs::write(path(&format!("new.db.0123456789abcdef.part{suffix}")), "half").unwrap();
    }
    fs::write(path("precious"), "mine").unwrap();
    let traps = ["new.db.fedcba9876543210.part", "new.db.part"];
    for name in traps {
        symlink(path("precious"), path(name)).unwrap();
    }
    roster(folder.path(), &["backup", "new.db"]).with_code(0);
    let mut left = names(folder.path(), "new.db");
    left.sort();
    assert_eq!(left, ["new.db", traps[0], traps[1]]);
    assert_eq!(fs::read(path("precious")).unwrap(), b"mine");
    assert_eq!(users_in(&path("new.db")).len(), 200);
}

/// Where root restores, the server's user can open what it made: only root can give files away, so nobody else can test it.
#[test]
fn what_root_restores_belongs_to_the_owner_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on_file(folder.path());
    server.fill(3);
    roster(folder.path(), &["backup", "backup.db"]).with_code(0);
    server.stop();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let (user, group) = if rustix::process::geteuid().is_root() { (65_532, 65_533) } else { owner(&data) };
    chown(&data, Some(user), Some(group)).unwrap();
    let restore = ["restore", "backup.db", "--database-url", "sqlite:data/roster.db", "--force"];
    // Into an empty folder, and over what is there.
    for _ in 0..2 {
        roster(folder.path(), &restore).with_code(0);
        for name in ["roster.db", "roster.db.lock"] {
            assert_eq!(owner(&data.join(name)), (user, group), "{name}");
        }
    }
    // Nobody has root write its pid into something else.
    fs::remove_file(data.join("roster.db.lock")).unwrap();
    fs::write(folder.path().join("precious"), "mine").unwrap();
    symlink(folder.path().join("precious"), data.join("roster.db.lock")).unwrap();
    roster(folder.path(), &restore).with_code(0);
    assert_eq!(fs::read(folder.path().join("precious")).unwrap(), b"mine");
}

fn owner(path: &Path) -> (u32, u32) {
    let data = fs::metadata(path).unwrap();
    (data.uid(), data.gid())
}

/// `roster …` with a home of its own and this on stdin.
fn typed(server: &Server, home: &Path, args: &[&str], input: &str) -> Ended {
    with_input(server.command(args).env("HOME", home).env_remove("XDG_CONFIG_HOME"), input)
}

fn with_input(command: &mut Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

const PASSWORD: &str = "correct horse battery staple\n";

#[test]
fn access_that_may_have_been_taken_away_since_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let home: PathBuf = folder.path().to_owned();
    let start = || {
        let mut serve = command(ROSTER, folder.path());
        Server::start(serve.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "off"]))
    };
    let create = ["admin", "create", "--email", "root@example.com"];
    with_input(command(ROSTER, folder.path()).args(create), PASSWORD).with_code(0);
    let server = start();
    typed(&server, &home, &["login", "root@example.com"], PASSWORD).with_code(0);
    let key = ["api-key", "create", "ci", "--scope", "users.list", "--output", "json"];
    let key = typed(&server, &home, &key, "").with_code(0).json().remove(0);
    let key = key["secret"].as_str().unwrap_or_else(|| panic!("{key}")).to_owned();
    typed(&server, &home, &["account", "forgot-password", "root@example.com"], "");
    let list = ["user", "list"];
    typed(&server, &home, &list, "").with_code(0);
    roster(folder.path(), &["backup", "backup.db"]).with_code(0);
    let port = server.grpc.clone();
    server.stop();

    roster(folder.path(), &["restore", "backup.db", "--force"]).with_code(0);
    let database = Connection::open(folder.path().join("roster.db")).unwrap();
    for (table, left) in [("sessions", 0), ("one_time_tokens", 0), ("signing_keys", 0), ("api_keys", 1)] {
        assert_eq!(count(&database, table).unwrap(), left, "{table}");
    }
    let waiting = "mails WHERE token IS NOT NULL OR next_attempt_at IS NOT NULL";
    assert_eq!(count(&database, waiting).unwrap(), 0);
    drop(database);
    let mut serve = command(ROSTER, folder.path());
    let server = Server::start(serve.args(["serve", "--grpc-addr", &port, "--http-addr", "off"]));
    typed(&server, &home, &list, "").refused(REFUSED, &["sign in"]);
    run(server.command(&list).env("ROSTER_TOKEN", &key)).with_code(0);
    typed(&server, &home, &["login", "root@example.com"], PASSWORD).with_code(0);
    typed(&server, &home, &list, "").with_code(0);
    server.stop();

    roster(folder.path(), &["restore", "backup.db", "--force", "--revoke-api-keys"]).with_code(0);
    let server = start();
    run(server.command(&list).env("ROSTER_TOKEN", &key)).refused(REFUSED, &["CREDENTIALS_INVALID"]);
    server.stop();
}

/// A restore never races a start: one of them has the lock.
#[test]
fn a_server_does_not_start_on_what_is_being_restored() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on_file(folder.path());
    server.fill(10);
    roster(folder.path(), &["backup", "backup.db"]).with_code(0);
    server.stop();
    // As if a restore were at it.
    let held = fs::File::open(folder.path().join("roster.db")).unwrap();
    held.lock().unwrap();
    let refused = Server::try_start(&mut serve(folder.path())).unwrap_err().with_code(TRY_AGAIN);
    assert!(refused.err.contains("is in use"), "{refused:?}");
    roster(folder.path(), &["restore", "backup.db", "--force"]).refused(TRY_AGAIN, &["is in use"]);
    drop(held);
    roster(folder.path(), &["restore", "backup.db", "--force"]).with_code(0);
    Server::on_file(folder.path()).stop();
}
