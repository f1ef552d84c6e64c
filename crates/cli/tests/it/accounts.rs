//! An account from the sign-up to the last session, on a server that lets nobody in without credentials, by the commands
//! that people type.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    process::{Ended, ROSTER, command, run},
    server::Server,
};

const REFUSED: i32 = 77;
const PASSWORD: &str = "correct horse battery staple\n";

/// `roster serve` without `--dev`, on a file in `folder`.
fn serve(folder: &Path) -> Server {
    let mut serve = command(ROSTER, folder);
    serve.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "off"]);
    Server::start(&mut serve)
}

/// Somebody with a home of their own, who calls the server.
struct Person<'a> {
    server: &'a Server,
    home: TempDir,
}

impl<'a> Person<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, home: tempfile::tempdir().unwrap() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.server.command(args);
        command.env("HOME", self.home.path()).env_remove("XDG_CONFIG_HOME").env_remove("ROSTER_TOKEN");
        command
    }

    fn types(&self, args: &[&str], input: &str) -> Ended {
        with_input(&mut self.command(args), input)
    }

    fn runs(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }
}

fn with_input(command: &mut Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn the_first_administrator_is_made_with_and_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let create =
        |email: &str| with_input(command(ROSTER, folder.path()).args(["admin", "create", "--email", email]), PASSWORD);
    let first = create("root@example.com").with_code(0);
    assert!(first.out.contains("root@example.com") && first.out.contains("admin"), "{first:?}");
    let made = format!("making a new database, {}", folder.path().join("roster.db").display());
    assert!(first.err.contains(&made), "{first:?}");
    // The database is free again, and nothing listens.
    let server = serve(folder.path());
    assert_eq!(create("second@example.com").with_code(0).err, "");
    create("second@example.com").refused(73, &["email"]);

    let root = Person::new(&server);
    root.runs(&["user", "list"]).refused(REFUSED, &["sign in"]);
    root.types(&["login", "root@example.com"], "wrong horse battery\n")
        .refused(REFUSED, &["SIGN_IN_FAILED", "look at the login"]);
    root.types(&["login", "root@example.com"], PASSWORD).with_code(0);
    let listed = root.runs(&["user", "list", "--output", "json"]).with_code(0);
    assert_eq!(listed.json().len(), 2);
    // However many pages a list takes, it is one table.
    for list in ["list", "search"] {
        let words: &[&str] = if list == "list" { &["--all", "--page-size", "1"] } else { &["example"] };
        let table = root.runs(&[&["user", list], words].concat()).with_code(0).out;
        let (headers, ids) = (table.matches("EMAIL").count(), table.matches("@example.com").count());
        assert_eq!((headers, ids, table.matches("\n\n").count()), (1, 2, 0), "{table}");
    }
    let credentials = root.home.path().join(".config/roster/credentials.json");
    assert_eq!(fs::metadata(&credentials).unwrap().permissions().mode() & 0o777, 0o600);

    root.runs(&["keys", "rotate"]).with_code(0);
    root.runs(&["user", "list"]).with_code(0);
    root.runs(&["logout"]).with_code(0);
    root.runs(&["user", "list"]).refused(REFUSED, &["sign in"]);
    assert!(!fs::read_to_string(&credentials).unwrap().contains("rr_"), "a refresh token is left");
}

#[test]
fn people_look_after_their_own_account_and_services_have_keys() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let eve = Person::new(&server);
    let sign_up = ["user", "create", "--email", "eve@example.com", "--password-stdin", "--output", "json"];
    let id = eve.types(&sign_up, PASSWORD).with_code(0).json()[0]["id"].as_str().unwrap().to_owned();
    eve.types(&["login", "eve@example.com", "--device", "Eve's phone"], PASSWORD).with_code(0);
    eve.runs(&["user", "get", &id]).with_code(0);
    eve.runs(&["user", "list"]).refused(REFUSED, &["users.list"]);
    let add =
        ["address", "add", &id, "--kind", "shipping", "--line1", "1 Main St", "--city", "Reno", "--country", "us"];
    eve.runs(&add).with_code(0);
    eve.runs(&["preferences", "set", &id, "--language", "de"]).with_code(0);

    let second = Person::new(&server);
    second.types(&["login", "eve@example.com"], PASSWORD).with_code(0);
    let sessions = eve.runs(&["session", "list", "--output", "json"]).with_code(0).json();
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|session| session["device"] != "Eve's phone").unwrap();
    eve.runs(&["session", "revoke", other["id"].as_str().unwrap()]).with_code(0);
    second.runs(&["user", "get", &id]).refused(REFUSED, &["CREDENTIALS_INVALID"]);
    eve.runs(&["user", "get", &id]).with_code(0);

    let email = ["user", "update", &id, "--email", "eva@example.com"];
    eve.runs(&email).refused(65, &["current_password"]);
    eve.types(&[&email[..], &["--current-password-stdin"]].concat(), PASSWORD).with_code(0);
    let new = "another horse battery staple\n";
    eve.types(&["account", "change-password"], &format!("{PASSWORD}{new}")).with_code(0);
    eve.runs(&["user", "get", &id]).refused(REFUSED, &["CREDENTIALS_INVALID"]);
    eve.types(&["login", "eva@example.com"], PASSWORD).refused(REFUSED, &["SIGN_IN_FAILED"]);
    eve.types(&["login", "eva@example.com"], new).with_code(0);

    with_input(command(ROSTER, folder.path()).args(["admin", "create", "--email", "root@example.com"]), PASSWORD)
        .with_code(0);
    let root = Person::new(&server);
    root.types(&["login", "root@example.com"], PASSWORD).with_code(0);
    let key = ["api-key", "create", "billing", "--scope", "users.read,users.list", "--expires", "1d"];
    let created = root.runs(&[&key[..], &["--output", "json"]].concat()).with_code(0).json().remove(0);
    let secret = created["secret"].as_str().unwrap();
    let service = Person::new(&server);
    let as_service = |args: &[&str]| run(service.command(args).env("ROSTER_TOKEN", secret));
    as_service(&["user", "list"]).with_code(0);
    as_service(&["user", "delete", &id, "--yes"]).refused(REFUSED, &["users.delete"]);
    root.runs(&["api-key", "revoke", created["apiKey"]["id"].as_str().unwrap()]).with_code(0);
    as_service(&["user", "list"]).refused(REFUSED, &["CREDENTIALS_INVALID"]);
    let audit = root.runs(&["audit", "list", "--output", "json"]).with_code(0);
    assert!(audit.out.contains("api_key.revoked") && audit.out.contains("call.refused"), "{audit:?}");
    assert!(!audit.out.contains(secret));
}

#[test]
fn a_forgotten_password_is_reset_by_the_token_of_the_mail() {
    let mut serve = command(ROSTER, &std::env::temp_dir());
    serve.args(["serve", "--dev", "--port", "0", "--http-addr", "127.0.0.1:0", "--database-url", "sqlite::memory:"]);
    let server = Server::start(&mut serve);
    let eve = Person::new(&server);
    let sign_up = ["user", "create", "--email", "eve@example.com", "--password-stdin"];
    eve.types(&sign_up, PASSWORD).with_code(0);
    eve.runs(&["account", "send-verification", "eve@example.com"]).with_code(0);
    eve.runs(&["account", "forgot-password", "eve@example.com"]).with_code(0);
    eve.runs(&["account", "forgot-password", "nobody@example.com"]).with_code(0);
    // For development, mails are kept and readable.
    let mails = eve.runs(&["mail", "list", "--output", "json"]).with_code(0).json();
    assert_eq!(mails.len(), 2, "{mails:?}");
    let token = |kind: &str| {
        let mail = mails.iter().find(|mail| mail["kind"] == kind).unwrap();
        let shown = eve.runs(&["mail", "show", mail["id"].as_str().unwrap(), "--output", "json"]).with_code(0);
        let text = shown.json()[0]["text"].as_str().unwrap().to_owned();
        text.split_once("token=").unwrap().1.split_whitespace().next().unwrap().to_owned()
    };
    let verified = eve.runs(&["account", "verify-email", &token("MAIL_KIND_VERIFICATION")]).with_code(0);
    assert!(verified.out.contains("eve@example.com is verified"), "{verified:?}");
    let reset = token("MAIL_KIND_PASSWORD_RESET");
    eve.types(&["account", "reset-password", &reset], "a brand new password\n").with_code(0);
    eve.types(&["account", "reset-password", &reset], "yet another password\n").refused(65, &["TOKEN_INVALID"]);
    eve.types(&["login", "eve@example.com"], "a brand new password\n").with_code(0);
}

#[test]
fn a_watch_of_presence_goes_on_with_the_next_access_token() {
    let folder = tempfile::tempdir().unwrap();
    with_input(command(ROSTER, folder.path()).args(["admin", "create", "--email", "root@example.com"]), PASSWORD)
        .with_code(0);
    let mut serve = command(ROSTER, folder.path());
    serve.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "off"]);
    let server = Server::start(serve.env("ROSTER_ACCESS_TOKEN_LIFETIME_MS", "2000"));
    let root = Person::new(&server);
    root.types(&["login", "root@example.com"], PASSWORD).with_code(0);
    let mut watch = root.command(&["presence", "watch"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // With each token it is told anew what is.
    for _ in 0..3 {
        assert_eq!(lines.next().unwrap().unwrap(), "0 known; now what changes");
    }
    // And with the session it ends.
    root.runs(&["logout"]).with_code(0);
    assert_eq!(watch.wait().unwrap().code(), Some(REFUSED));
}
