//! What people give the command line that is of no use: one line says what it is and what to do, and nothing hangs.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread,
};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::{
    process::{Ended, ROSTER, command, run},
    server::{Server, serve},
};

const USAGE: i32 = 64;
const UNAVAILABLE: i32 = 69;
const TRY_AGAIN: i32 = 75;
const CONFIG: i32 = 78;

/// `roster …` in this folder, which is its user's home too.
fn roster(folder: &Path, args: &[&str]) -> Ended {
    run(command(ROSTER, folder).env("HOME", folder).args(args))
}

#[test]
fn endpoints_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let list = |server: &str| roster(folder.path(), &["user", "list", "--server", server]);
    for none in [
        "",
        "http://",
        "host with blanks",
        "http://a b",
        "ftp://host",
        "127.0.0.1:99999",
        "http://[::1",
        "http://127.0.0.1:99999",
    ] {
        list(none).refused(USAGE, &["--server"]);
    }
    list("127.0.0.1:1").refused(UNAVAILABLE, &["127.0.0.1:1", "refused", "roster serve --dev"]);
    list("http://no-such-host.invalid:50051").refused(UNAVAILABLE, &["no-such-host.invalid"]);
    list("unix:/no/such.sock").refused(UNAVAILABLE, &["/no/such.sock", "No such file"]);
}

#[test]
fn who_speaks_something_else_is_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let redis = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", redis.local_addr().unwrap());
    // As long as anybody asks; it ends with the process.
    thread::spawn(move || {
        let mut peers = Vec::new();
        for mut peer in redis.incoming().map(Result::unwrap) {
            // As Redis, which answers what it was asked.
            let _ = peer.read(&mut [0; 64]);
            let _ = peer.write_all(b"-ERR unknown command 'PRI', with args beginning with: '*' 'HTTP/2.0'\r\n");
            peers.push(peer);
        }
    });
    let ended = roster(folder.path(), &["user", "list", "--server", &server]);
    assert_eq!(ended.code, Some(UNAVAILABLE), "{ended:?}");
    // The answer may come before the question is on its way.
    assert!(ended.err.contains("does not speak gRPC") || ended.err.contains("be no Roster"), "{ended:?}");
}

#[test]
fn nobody_waits_for_ever_for_who_never_answers() {
    let folder = tempfile::tempdir().unwrap();
    // The kernel takes the connection, and nobody ever reads from it.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = mute.local_addr().unwrap();
    let plain = format!("http://{addr}");
    fs::write(folder.path().join("new.csv"), "email\nada@example.com\n").unwrap();
    for args in [
        &["user", "list"][..],
        &["user", "get", "ada"],
        &["user", "create", "--email", "ada@example.com"],
        &["address", "list", "ada"],
        &["audit", "list"],
        &["session", "list"],
        &["api-key", "list"],
        &["mail", "list"],
        &["presence", "list"],
        &["keys", "rotate"],
        &["bench", "reads"],
        &["export", "users.csv"],
        &["import", "new.csv"],
        &["presence", "watch"],
    ] {
        let ended = roster(folder.path(), &[args, &["--timeout", "1", "--server", &plain]].concat());
        assert!([Some(TRY_AGAIN), Some(UNAVAILABLE)].contains(&ended.code), "{args:?} {ended:?}");
        assert!(ended.err.starts_with("error: "), "{args:?} {ended:?}");
    }
    let tls = format!("https://{addr}");
    roster(folder.path(), &["user", "list", "--server", &tls]).refused(UNAVAILABLE, &[&tls]);
}

#[test]
fn a_certificate_that_has_ended_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    fs::write(folder.path().join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2020, 1, 1);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    fs::write(folder.path().join("late.pem"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    fs::write(folder.path().join("late-key.pem"), key.serialize_pem()).unwrap();

    let server =
        Server::start(serve(folder.path()).args(["--tls-certificate", "late.pem", "--tls-key", "late-key.pem"]));
    let url = format!("https://{}", server.grpc);
    roster(folder.path(), &["user", "list", "--server", &url, "--ca-cert", "ca.pem"])
        .refused(UNAVAILABLE, &["expired", "hint: the server's certificate has ended"]);
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let server = Server::in_memory();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join(".config/roster");
    fs::create_dir_all(&config).unwrap();
    let credentials = config.join("credentials.json");
    let list = || roster(folder.path(), &["user", "list", "--server", &server.grpc]);
    let put = |text: &str, mode: u32| {
        fs::write(&credentials, text).unwrap();
        fs::set_permissions(&credentials, fs::Permissions::from_mode(mode)).unwrap();
    };
    put("{}", 0o600);
    list().with_code(0);
    for mode in [0o644, 0o660, 0o606] {
        put("{}", mode);
        let shown = format!("mode {mode:o}");
        list().refused(CONFIG, &["credentials.json holds tokens", &shown, "chmod 600"]);
    }
    put("{ no JSON", 0o600);
    list().refused(74, &["credentials.json", "sign in again"]);
    put("{}", 0o600);
    let token = folder.path().join("users.token");
    let watch = || {
        let file = token.to_str().unwrap();
        roster(folder.path(), &["watch", "--token-file", file, "--server", &server.grpc])
    };
    for text in ["", "two words", &"x".repeat(600), "\x1b[2J"] {
        fs::write(&token, text).unwrap();
        watch().refused(65, &["users.token holds no token", "--token-file"]);
    }
    for (flag, name) in [("--ca-cert", "absent.pem"), ("--client-cert", "absent.pem"), ("--client-key", "absent.pem")] {
        roster(folder.path(), &["user", "list", "--server", &server.grpc, flag, name]).refused(USAGE, &[flag]);
    }
    let mut token_in_env = command(ROSTER, folder.path());
    token_in_env.args(["user", "list", "--server", &server.grpc]).env("ROSTER_TOKEN", "two\nlines");
    run(&mut token_in_env).refused(USAGE, &["ROSTER_TOKEN", "characters that no token has"]);
}

#[test]
fn nonsense_in_flags_is_told_without_a_call() {
    let folder = tempfile::tempdir().unwrap();
    for (args, fragment) in [
        (&["user", "list", "--timeout", "0"][..], "--timeout"),
        (&["user", "list", "--timeout", "soon"], "--timeout"),
        (&["user", "list", "--max-staleness", "3600001"], "0..=3600000"),
        (&["user", "list", "--limit", "-1"], "'-1'"),
        (&["user", "list", "--limit=-1"], "--limit"),
        (&["user", "list", "--output", "yaml"], "table, json"),
        (&["user", "list", "--color", "pink"], "auto, always, never"),
        (&["user", "create", "--email", "a@b.c", "--age", "old"], "--age"),
        (&["user", "create", "--email", "a@b.c", "--role", "king"], "--role"),
        (&["import", "users.csv", "--format", "xls"], "csv, jsonl"),
        (&["api-key", "create", "x"], "--scope"),
        (&["api-key", "create", "x", "--scope", "users.read", "--expires", "someday"], "--expires"),
        (&["watch", "--snapshot", "--resume-token", "x"], "--resume-token"),
    ] {
        let ended = roster(folder.path(), args).with_code(USAGE);
        assert!(ended.err.starts_with("error: ") && ended.err.contains(fragment), "{args:?} {ended:?}");
        assert!(ended.out.is_empty() && !ended.err.contains("panicked"), "{args:?} {ended:?}");
    }
}
