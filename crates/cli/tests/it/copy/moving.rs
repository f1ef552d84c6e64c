//! A whole installation moves to PostgreSQL and back: nobody notices.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rusqlite::Connection;
use serde_json::Value;

use super::{assert_same, blank, copy};
use crate::{
    process::{Ended, ROSTER, command, run},
    server::Server,
};

const PASSWORD: &str = "correct horse battery staple\n";
const NEW_PASSWORD: &str = "staple battery horse correct\n";
const TRY_AGAIN: i32 = 75;

/// An installation: a folder, and people whose homes are in it.
struct Place {
    folder: PathBuf,
    /// Where its servers listen, one after the other, for people's credentials are kept by it.
    port: String,
}

impl Place {
    fn serve(&mut self, database: &str) -> Server {
        let mut serve = command(ROSTER, &self.folder);
        serve.args(["serve", "--grpc-addr", &self.port, "--http-addr", "off", "--database-url", database]);
        let server = Server::start(&mut serve);
        self.port.clone_from(&server.grpc);
        server
    }

    fn command(&self, who: &str, args: &[&str]) -> Command {
        let mut command = command(ROSTER, &self.folder);
        command.env("HOME", self.folder.join(who)).env("ROSTER_SERVER", &self.port).args(args);
        command
    }

    fn runs(&self, who: &str, args: &[&str]) -> Ended {
        run(&mut self.command(who, args))
    }

    fn types(&self, who: &str, args: &[&str], input: &str) -> Ended {
        with_input(&mut self.command(who, args), input)
    }

    fn json(&self, who: &str, args: &[&str]) -> Vec<Value> {
        self.runs(who, &[args, &["--output", "json"]].concat()).with_code(0).json()
    }

    /// Events after this token up to the one about this user.
    fn watch(&self, token: Option<&str>, until: &str) -> Vec<Value> {
        let args: Vec<&str> =
            ["watch", "--output", "json"].into_iter().chain(token.map(|_| "--resume-token")).collect();
        let args = [&args[..], token.as_slice()].concat();
        let mut child = self.command("root", &args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut events: Vec<Value> = Vec::new();
        for line in lines {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let is_heartbeat = event.get("heartbeat").is_some();
            let is_last = until.is_empty() || event["change"]["user"]["id"] == until;
            if !is_heartbeat || until.is_empty() {
                events.push(event);
            }
            if is_last {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!events.is_empty(), "the watch ended");
        events
    }

    fn credentials(&self, who: &str) -> PathBuf {
        self.folder.join(who).join(".config/roster/credentials.json")
    }

    /// The next call buys a new access token.
    fn age_access_token(&self, who: &str) {
        let path = self.credentials(who);
        let mut kept: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        session(&mut kept)["access_token_ends"] = 0.into();
        fs::write(&path, kept.to_string()).unwrap();
    }

    fn token(&self, who: &str, name: &str) -> String {
        let mut kept: Value = serde_json::from_slice(&fs::read(self.credentials(who)).unwrap()).unwrap();
        session(&mut kept)[name].as_str().unwrap().to_owned()
    }

    /// What anybody can see of it.
    fn all(&self) -> Vec<Vec<Value>> {
        let lists: &[&[&str]] = &[
            &["user", "list", "--all"],
            &["user", "search", "example"],
            &["user", "search", "lic"],
            &["address", "list", "alice"],
            &["preferences", "get", "alice"],
            &["session", "list", "--user", "alice"],
            &["api-key", "list"],
            &["audit", "list", "--limit", "500"],
        ];
        let mut all: Vec<_> = lists.iter().map(|list| self.json("root", list)).collect();
        // Uses are noted a while after them.
        all.iter_mut().flatten().for_each(|one| drop(one.as_object_mut().unwrap().remove("lastUsedAt")));
        all
    }
}

/// The one session that is in the file.
fn session(kept: &mut Value) -> &mut Value {
    fn find(value: &mut Value) -> Option<&mut Value> {
        if value.get("access_token").is_some() {
            return Some(value);
        }
        value.as_object_mut()?.values_mut().find_map(find)
    }
    find(kept).unwrap()
}

fn with_input(command: &mut Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// What a call with an idempotency key said, and a run of an import with a key.
fn done_once(place: &Place) -> (String, String) {
    let create =
        ["user", "create", "--email", "once@example.com", "--idempotency-key", "only-once", "--output", "json"];
    let import = ["import", "people.csv", "--import-key", "run-1"];
    let (created, imported) = (place.runs("root", &create).with_code(0), place.runs("root", &import).with_code(0));
    (created.out, imported.out + &imported.err)
}

/// Fills the database through its API; gives the resume token from before that.
fn fill(place: &Place) -> String {
    let signed_up = ["user", "create", "--id", "bob", "--email", "bob@example.com"];
    place.types("root", &["login", "root@example.com"], PASSWORD).with_code(0);
    let token = place.watch(None, "")[0]["resumeToken"].as_str().unwrap().to_owned();
    place.runs("root", &signed_up).with_code(0);
    let alice =
        ["user", "create", "--id", "alice", "--email", "alice@example.com", "--name", "Alice", "--password-stdin"];
    let more = [
        "--username",
        "al",
        "--age",
        "36",
        "--phone",
        "+493012345678",
        "--attribute",
        "zone=b",
        "--attribute",
        "a=ä\"\\",
    ];
    place.types("root", &[&alice[..], &more].concat(), PASSWORD).with_code(0);
    place.types("alice", &["login", "al", "--device", "Alice's phone"], PASSWORD).with_code(0);
    for kind in ["shipping", "billing"] {
        let address = ["--kind", kind, "--line1", "1 Main St", "--city", "Reno", "--country", "us"];
        place.runs("alice", &[&["address", "add", "alice"], &address[..]].concat()).with_code(0);
    }
    place.runs("alice", &["preferences", "set", "alice", "--language", "de"]).with_code(0);
    place.runs("root", &["user", "update", "alice", "--name", "Alice Liddell"]).with_code(0);
    place.runs("root", &["user", "create", "--email", "generated@example.com"]).with_code(0);
    place.runs("root", &["user", "create", "--id", "carol", "--email", "carol@example.com"]).with_code(0);
    place.runs("root", &["user", "deactivate", "carol"]).with_code(0);
    place.runs("root", &["user", "delete", "bob", "--yes"]).with_code(0);
    place.types("eve", &["login", "alice@example.com"], "wrong horse battery\n").with_code(77);
    fs::write(place.folder.join("people.csv"), "email,name\nd@example.com,D\ne@example.com,E\nalice@example.com,A\n")
        .unwrap();
    done_once(place);
    place.runs("eve", &["account", "forgot-password", "alice@example.com"]).with_code(0);
    place.runs("root", &["keys", "rotate"]).with_code(0);
    place.runs("root", &["user", "create", "--id", "last", "--email", "last@example.com"]).with_code(0);
    token
}

/// The token of the mail that waits.
fn mailed_token(file: &Path) -> String {
    let sql =
        "SELECT token FROM mails WHERE token IS NOT NULL AND next_attempt_at IS NOT NULL ORDER BY created_at DESC";
    Connection::open(file).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn an_installation_moves_to_postgresql_and_back_and_nobody_notices() {
    let folder = tempfile::tempdir().unwrap();
    let (path, database) = (folder.path(), blank());
    with_input(command(ROSTER, path).args(["admin", "create", "--email", "root@example.com"]), PASSWORD).with_code(0);
    let mut place = Place { folder: path.to_owned(), port: "127.0.0.1:0".into() };
    let server = place.serve("sqlite:roster.db");
    let token = fill(&place);
    let key = place.json("root", &["api-key", "create", "ci", "--scope", "users.list"]).remove(0);
    let key = key["secret"].as_str().unwrap().to_owned();
    let before = place.all();
    let told = place.watch(Some(&token), "last");
    let answers = done_once(&place);
    let access = place.token("root", "access_token");

    // Not while it is served.
    let pid = server.pid().as_raw_nonzero().to_string();
    let refused = copy(path, "sqlite:roster.db", database.url());
    refused.refused(TRY_AGAIN, &["roster.db is in use by process", &pid, "stop that process first"]);
    server.stop();
    let source = fs::read(path.join("roster.db")).unwrap();
    let copied = copy(path, "sqlite:roster.db", database.url()).with_code(0).json().remove(0);
    assert_eq!(fs::read(path.join("roster.db")).unwrap(), source, "the source stays as it is");
    let rows = |name: &str| {
        let table = copied["tables"].as_array().unwrap().iter().find(|table| table["table"] == name);
        table.unwrap_or_else(|| panic!("{name} is not in {copied}"))["rows"].as_u64().unwrap()
    };
    for table in [
        "users",
        "credentials",
        "changes",
        "secrets",
        "sessions",
        "api_keys",
        "addresses",
        "preferences",
        "mails",
        "one_time_tokens",
        "imports",
        "import_verdicts",
        "answers",
    ] {
        assert!(rows(table) > 0, "{table}: nothing of it was filled in {copied}");
    }
    assert!(rows("signing_keys") == 2, "{copied}");
    // There and back is where it was, byte by byte.
    copy(path, database.url(), "sqlite:mirror.db").with_code(0);
    assert_same(&path.join("roster.db"), &path.join("mirror.db"));

    let server = place.serve(database.url());
    for (before, after) in before.iter().zip(place.all()) {
        assert_eq!(*before, after);
    }
    run(place.command("nobody", &["user", "list"]).env("ROSTER_TOKEN", &access)).with_code(0);
    run(place.command("nobody", &["user", "list"]).env("ROSTER_TOKEN", &key)).with_code(0);
    let spent = place.token("alice", "refresh_token");
    place.age_access_token("alice");
    place.runs("alice", &["user", "get", "alice"]).with_code(0);
    assert_ne!(place.token("alice", "refresh_token"), spent);
    place.types("other", &["login", "alice@example.com"], PASSWORD).with_code(0);
    assert_eq!(done_once(&place), answers);
    // Watches go on: from the beginning, from the middle, and with what comes.
    assert_eq!(place.watch(Some(&token), "last"), told);
    let middle = told.len() / 2;
    let tokens: Vec<&str> = told.iter().map(|event| event["resumeToken"].as_str().unwrap()).collect();
    assert_eq!(place.watch(Some(tokens[middle]), "last"), told[middle + 1..]);
    place.runs("root", &["user", "create", "--id", "here", "--email", "here@example.com"]).with_code(0);
    let here = place.watch(tokens.last().copied(), "here");
    assert_eq!(here.len(), 1, "{here:?}");
    // The mail that waited has a link that works.
    let mailed = mailed_token(&path.join("roster.db"));
    place.types("other", &["account", "reset-password", &mailed], NEW_PASSWORD).with_code(0);

    copy(path, database.url(), "sqlite:back.db").refused(TRY_AGAIN, &["a server serves it", "stop it"]);
    assert!(!path.join("back.db").exists());
    server.kill();
    copy(path, database.url(), "sqlite:back.db").with_code(0);
    place.serve("sqlite:back.db").kill();
    let _server = place.serve("sqlite:back.db");
    place.types("other", &["login", "alice@example.com"], PASSWORD).with_code(77);
    place.types("other", &["login", "alice@example.com"], NEW_PASSWORD).with_code(0);
    run(place.command("nobody", &["user", "list"]).env("ROSTER_TOKEN", &key)).with_code(0);
    assert_eq!(place.watch(Some(&token), "here")[..told.len()], told[..]);
    assert_eq!(place.watch(tokens.last().copied(), "here"), here);
    assert_eq!(done_once(&place), answers);
    place.runs("root", &["user", "create", "--id", "home", "--email", "home@example.com"]).with_code(0);
    assert_eq!(place.json("root", &["user", "search", "home@"]).len(), 1);
}
