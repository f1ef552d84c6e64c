//! A start that cannot be: the process ends at once, with one line that says what is wrong and how to mend it, a code
//! of `sysexits.h`, and every file as it was.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{
    process::{Ended, ROSTER, command, run},
    redis_server::RedisServer,
    server::{Server, serve},
    tls,
};

/// At once, for who waits at a terminal.
const AT_ONCE: Duration = Duration::from_secs(1);

const USAGE: i32 = 64;
const DATA: i32 = 65;
const UNAVAILABLE: i32 = 69;
const CANNOT_CREATE: i32 = 73;
const TRY_AGAIN: i32 = 75;
const CONFIG: i32 = 78;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// `roster serve --dev` with a variable more.
fn with_env(folder: &Path, name: &str, value: &str) -> Ended {
    run(serve(folder).env(name, value))
}

#[test]
fn what_is_wrong_in_the_configuration_is_named() {
    let folder = folder();
    let in_file = |text: &str| {
        fs::write(folder.path().join("roster.toml"), text).unwrap();
        let ended = run(&mut serve(folder.path()));
        fs::remove_file(folder.path().join("roster.toml")).unwrap();
        ended
    };
    let flags = |args: &[&str]| run(serve(folder.path()).args(args));

    in_file("grpc_prot = 1").refused(CONFIG, &["\"grpc_prot\"", "in roster.toml", "did you mean grpc_port?"]);
    in_file("workers = 0").refused(CONFIG, &["workers cannot be \"0\"", "in roster.toml", "1 to 1024"]);
    in_file("workers = \"many\"").refused(CONFIG, &["workers", "many", "1 to 1024"]);
    in_file("workers = ").refused(CONFIG, &["roster.toml, line 1", "TOML"]);
    in_file("[server]\nworkers = 1").refused(CONFIG, &["\"server\"", "in roster.toml"]);
    with_env(folder.path(), "ROSTER_GRPC_PROT", "1").refused(CONFIG, &["ROSTER_GRPC_PROT", "ROSTER_GRPC_PORT"]);
    with_env(folder.path(), "ROSTER_CACHE_BYTES", "lots")
        .refused(CONFIG, &["cache_bytes", "lots", "ROSTER_CACHE_BYTES"]);
    with_env(folder.path(), "LOG_LEVEL", "LOUD").refused(CONFIG, &["log_level", "LOUD", "LOG_LEVEL", "debug"]);
    // An empty variable counts as not set, so what is wrong is the next thing.
    run(serve(folder.path()).env("ROSTER_CONFIG", "").args(["--workers", "0"])).refused(CONFIG, &["--workers"]);
    with_env(folder.path(), "ROSTER_CONFIG", "/nowhere.toml").refused(CONFIG, &["/nowhere.toml", "No such file"]);
    let postgres = with_env(folder.path(), "DATABASE_URL", "postgres://ada:secret@127.0.0.1:1/users?sslmode=some");
    assert!(!postgres.err.contains("secret"), "{postgres:?}");
    postgres.refused(CONFIG, &["database_url", "DATABASE_URL", "postgres://USER:PASSWORD@HOST:PORT/DATABASE"]);
    let postgres = with_env(folder.path(), "DATABASE_URL", "postgres://ada:secret@127.0.0.1:1/users");
    assert!(!postgres.err.contains("secret"), "{postgres:?}");
    postgres.refused(UNAVAILABLE, &["cannot reach PostgreSQL at 127.0.0.1:1", "refused", "database_url"]);
    flags(&["--grpc-addr", "0.0.0.0:0"]).refused(CONFIG, &["grpc_addr", "0.0.0.0:0", "loopback"]);
    flags(&["--workers", "0"]).refused(CONFIG, &["workers", "--workers", "1 to 1024"]);
    let unknown = flags(&["--prot", "1"]).with_code(USAGE);
    assert!(unknown.err.starts_with("error: unexpected argument '--prot'"), "{unknown:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn certificates_that_are_of_no_use_are_named() {
    let folder = tls::certificates();
    let certs = folder.path().join("certs");
    fs::write(certs.join("text.pem"), "Dear diary").unwrap();
    fs::write(certs.join("broken.pem"), "-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n").unwrap();
    let with = |certificate: &str, key: &str, more: &[&str]| {
        let (certificate, key) = (format!("certs/{certificate}"), format!("certs/{key}"));
        run(serve(folder.path()).args(["--tls-certificate", &certificate, "--tls-key", &key]).args(more))
    };
    let client_ca =
        |ca: &str| with("server.pem", "server-key.pem", &["--client-certificates", "optional", "--tls-client-ca", ca]);
    with("absent.pem", "server-key.pem", &[]).refused(CONFIG, &["certs/absent.pem (tls_certificate)", "No such file"]);
    with("server.pem", "absent.pem", &[]).refused(CONFIG, &["certs/absent.pem (tls_key)", "No such file"]);
    with("server.pem", "", &[]).refused(CONFIG, &["tls_key cannot be \"certs/\"", "--tls-key"]);
    with("text.pem", "server-key.pem", &[]).refused(CONFIG, &["certs/text.pem", "no certificate in PEM form"]);
    with("broken.pem", "server-key.pem", &[]).refused(CONFIG, &["certs/broken.pem", "no certificate that can be read"]);
    with("server.pem", "server.pem", &[]).refused(CONFIG, &["certs/server.pem (tls_key)", "no private key"]);
    with("server.pem", "client-key.pem", &[])
        .refused(CONFIG, &["certs/client-key.pem (tls_key) does not match", "certs/server.pem (tls_certificate)"]);
    client_ca("certs/absent.pem").refused(CONFIG, &["certs/absent.pem (tls_client_ca)", "No such file"]);
    client_ca("certs/broken.pem").refused(CONFIG, &["certs/broken.pem (tls_client_ca)", "cannot be used"]);
    client_ca(".").refused(CONFIG, &[". (tls_client_ca)", "is no file"]);
    run(serve(folder.path()).args(["--tls-key", "certs/server-key.pem"]))
        .refused(CONFIG, &["tls_key (--tls-key) needs tls_certificate too"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn a_collector_that_cannot_be_is_named() {
    let folder = folder();
    fs::write(folder.path().join("text.pem"), "Dear diary").unwrap();
    let with = |endpoint: &str, ca: &str| {
        run(serve(folder.path()).args(["--otlp-endpoint", endpoint]).env("ROSTER_OTLP_CA_FILE", ca))
    };
    with("localhost:4317", "off")
        .refused(CONFIG, &["otlp_endpoint cannot be \"localhost:4317\" (--otlp-endpoint)", "http://127.0.0.1:4317"]);
    let secret = with("http://ada:hunter2@localhost:4317", "off").refused(CONFIG, &["otlp_endpoint"]);
    assert!(!secret.err.contains("hunter2"), "{secret:?}");
    with("https://localhost:1", "absent.pem").refused(CONFIG, &["absent.pem (otlp_ca_file)", "No such file"]);
    with("https://localhost:1", "text.pem").refused(CONFIG, &["text.pem (otlp_ca_file)", "no certificate in PEM form"]);
}

#[test]
fn a_redis_that_will_never_do_is_named() {
    let folder = folder();
    let with = |url: &str, more: &[&str]| run(serve(folder.path()).args(["--redis-url", url]).args(more));
    let bad = with("redis://:hunter2@localhost/zero", &[]);
    assert!(!bad.err.contains("hunter2"), "{bad:?}");
    bad.refused(CONFIG, &["redis_url cannot be \"redis://…\" (--redis-url)", "redis://USER:PASSWORD@HOST:PORT/NUMBER"]);

    let redis = RedisServer::with(&["--requirepass", "hunter3"]);
    let addr = redis.addr.to_string();
    for url in [format!("redis://:hunter2@{addr}"), format!("redis://{addr}")] {
        let ended = with(&url, &[]);
        assert!(!ended.err.contains("hunter"), "{ended:?}");
        ended.refused(
            CONFIG,
            &["Redis at", &addr, "refuses to let us in", "mend the user, password or number in redis_url"],
        );
    }
    let no_tls = with(&format!("rediss://:hunter3@{addr}"), &[]);
    no_tls.refused(CONFIG, &["cannot speak TLS with Redis at", &addr, "redis:// is for one without TLS"]);
    let absent = run(serve(folder.path())
        .env("REDIS_URL", format!("rediss://{addr}"))
        .env("ROSTER_REDIS_CA_FILE", "absent.pem"));
    absent.refused(CONFIG, &["absent.pem", "No such file", "mend redis_ca_file"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    with(&format!("redis://{here}"), &[])
        .refused(CONFIG, &[&here, "is no Redis", "mend the host and port in redis_url"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    let told = run(command(ROSTER, folder.path()).args([
        "doctor",
        "--dev",
        "--redis-url",
        &format!("redis://:hunter2@{addr}"),
    ]));
    assert!(told.out.contains("refuses to let us in") && !told.out.contains("hunter"), "{told:?}");
}

#[test]
fn plain_text_beyond_loopback_is_refused() {
    let folder = folder();
    let on = |args: &[&str]| run(command(ROSTER, folder.path()).arg("serve").args(args));
    let mend = ["in plain text", "tls_certificate", "roster cert dev", "--insecure-plaintext"];
    on(&[]).refused(CONFIG, &[&["0.0.0.0:50051"], &mend[..]].concat());
    on(&["--grpc-addr", "[::]:0", "--http-addr", "off"]).refused(CONFIG, &[&["[::]:0"], &mend[..]].concat());
    on(&["--grpc-addr", "127.0.0.1:0"]).refused(CONFIG, &[&["http_addr", "0.0.0.0:8000"], &mend[..]].concat());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    let told = ["--grpc-addr", "0.0.0.0:0", "--http-addr", "off", "--insecure-plaintext"];
    Server::start(command(ROSTER, folder.path()).arg("serve").args(told)).stop();
}

#[test]
fn a_port_in_use_is_named_with_its_setting() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let (addr, port) = (taken.to_string(), taken.port().to_string());
    let on = |args: &[&str]| run(command(ROSTER, folder.path()).args(["serve", "--dev"]).args(args));
    on(&["--port", &port, "--http-addr", "off"]).refused(UNAVAILABLE, &[&addr, "in use", "grpc_addr"]);
    on(&["--port", "0", "--http-addr", &addr]).refused(UNAVAILABLE, &[&addr, "in use", "http_addr"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    let on = |path: &str| run(serve(folder.path()).args(["--database-url", &format!("sqlite:{path}")]));
    let mend = "choose another database_url";
    on("no/such/roster.db").refused(CANNOT_CREATE, &["no/such/roster.db", "No such file or directory", mend]);
    on("file/roster.db").refused(CANNOT_CREATE, &["file/roster.db", "Not a directory", mend]);
    // Not even root may write there.
    on("/proc/roster.db").refused(CANNOT_CREATE, &["/proc/roster.db", mend]);
    on(".").refused(CANNOT_CREATE, &[mend]);
}

#[test]
fn a_second_server_names_the_first_and_a_kill_frees_the_file() {
    let folder = folder();
    let first = Server::on_file(folder.path());
    let pid = first.pid().as_raw_nonzero().to_string();
    let start = Instant::now();
    run(&mut serve(folder.path())).refused(TRY_AGAIN, &["roster.db is in use by process", &pid, "stop"]);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    assert_eq!(first.roster(&["user", "list"]).with_code(0).out, "no users\n");

    // By any other name, and whoever tidies up beside it, it is the same file.
    fs::hard_link(folder.path().join("roster.db"), folder.path().join("hard.db")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("roster.db"), folder.path().join("soft.db")).unwrap();
    fs::remove_file(folder.path().join("roster.db.lock")).unwrap();
    for name in ["roster.db", "hard.db", "soft.db"] {
        let other = format!("sqlite:{name}");
        run(serve(folder.path()).args(["--database-url", &other]))
            .refused(TRY_AGAIN, &["is in use by process", "stop"]);
    }
    first.kill();
    Server::on_file(folder.path()).stop();
}

/// A database as a server leaves it, with some users in it.
fn database(folder: &Path) {
    let server = Server::on_file(folder);
    server.fill(200);
    server.stop();
}

/// Starts a server on a file with these bytes; it must refuse, and leave them as they are.
#[track_caller]
fn refused_with(folder: &Path, bytes: &[u8], code: i32, fragments: &[&str]) {
    let path = folder.join("roster.db");
    fs::write(&path, bytes).unwrap();
    run(&mut serve(folder)).refused(code, &[fragments, &["roster.db"]].concat());
    assert!(fs::read(&path).unwrap() == bytes, "the file has changed");
}

/// The files whose names begin so.
fn files_of(folder: &Path, name: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.filter(|file| file.starts_with(name)).collect();
    files.sort();
    files
}

#[test]
fn damaged_files_are_refused_and_left_alone() {
    let folder = folder();
    database(folder.path());
    let whole = fs::read(folder.path().join("roster.db")).unwrap();
    fs::remove_file(folder.path().join("roster.db-wal")).unwrap();
    fs::remove_file(folder.path().join("roster.db-shm")).unwrap();

    let damaged = &["is damaged", "backup"];
    for length in [50, whole.len() / 2, whole.len() - 4096] {
        refused_with(folder.path(), &whole[..length], DATA, damaged);
    }
    for page in [1, 5, whole.len() / 4096 / 2] {
        let mut garbage = whole.clone();
        garbage[page * 4096..(page + 1) * 4096].fill(0xa5);
        refused_with(folder.path(), &garbage, DATA, damaged);
    }
    let stranger = &["is not a Roster database", "another database_url"];
    refused_with(
        folder.path(),
        b"Dear diary, this is no database at all, but text.\n".repeat(30).as_slice(),
        DATA,
        stranger,
    );

    // The database is lost, but not its log. SQLite would begin anew, and throw the log away.
    let log = folder.path().join("roster.db-wal");
    fs::write(&log, b"changes").unwrap();
    refused_with(folder.path(), b"", DATA, &["is gone or empty", "roster.db-wal", "move that away", "backup"]);
    assert_eq!(fs::read(&log).unwrap(), b"changes");
    fs::remove_file(&log).unwrap();

    // And the file itself is good.
    fs::write(folder.path().join("roster.db"), &whole).unwrap();
    Server::on_file(folder.path()).stop();
}

#[test]
fn databases_of_other_programs_and_of_newer_rosters_are_left_alone() {
    let folder = folder();
    let foreign = folder.path().join("foreign.db");
    let program = Connection::open(&foreign).unwrap();
    program
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')")
        .unwrap();
    // As the program leaves it when it is killed: all is still in its log.
    let log = fs::read(folder.path().join("foreign.db-wal")).unwrap();
    fs::write(folder.path().join("roster.db-wal"), &log).unwrap();
    let stranger = &["is not a Roster database", "another program", "another database_url"];
    let left = |name: &str| files_of(folder.path(), name);
    refused_with(folder.path(), &fs::read(&foreign).unwrap(), DATA, stranger);
    assert!(fs::read(folder.path().join("roster.db-wal")).unwrap() == log, "its log has changed");
    assert_eq!(left("roster.db"), ["roster.db", "roster.db-wal"]);
    // While the program has it open: nothing more beside it either, and the program is not in our way.
    run(serve(folder.path()).args(["--database-url", "sqlite:foreign.db"])).refused(DATA, stranger);
    let copy = ["copy", "--from", "sqlite:foreign.db", "--to", "postgres://ada@127.0.0.1:1/users"];
    run(command(ROSTER, folder.path()).args(copy)).refused(DATA, &["foreign.db", "another program"]);
    assert_eq!(left("foreign.db"), ["foreign.db", "foreign.db-shm", "foreign.db-wal"]);
    program.execute_batch("INSERT INTO notes VALUES ('mine too')").unwrap();
    fs::remove_file(folder.path().join("roster.db-wal")).unwrap();
    drop(program);
    refused_with(folder.path(), &fs::read(&foreign).unwrap(), DATA, stranger);
    // One that says no more than whose it is.
    fs::remove_file(&foreign).unwrap();
    let program = Connection::open(&foreign).unwrap();
    program.execute_batch("PRAGMA application_id = 7; PRAGMA journal_mode = WAL").unwrap();
    drop(program);
    refused_with(folder.path(), &fs::read(&foreign).unwrap(), DATA, stranger);
    assert_eq!(left("roster.db"), ["roster.db"]);

    fs::remove_file(folder.path().join("roster.db")).unwrap();
    Server::on_file(folder.path()).stop();
    let newer = Connection::open(folder.path().join("roster.db")).unwrap();
    newer.execute_batch("PRAGMA user_version = 999; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(newer);
    let bytes = fs::read(folder.path().join("roster.db")).unwrap();
    refused_with(folder.path(), &bytes, DATA, &["schema 999", "newer Roster"]);
}
