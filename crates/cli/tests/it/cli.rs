//! The commands that users type, against a real server: what they print, for people and for programs, and how they end.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::{Value, json};

use crate::{
    process::{Ended, ROSTER, command, run},
    server::{Server, serve},
};

const USAGE: i32 = 64;
const DATA: i32 = 65;
const NOT_FOUND: i32 = 66;
const UNAVAILABLE: i32 = 69;
const CANNOT_CREATE: i32 = 73;
const TRY_AGAIN: i32 = 75;
const REFUSED: i32 = 77;
const CONFIG: i32 = 78;

/// `roster …` without a server.
fn roster(args: &[&str]) -> Ended {
    run(command(ROSTER, &std::env::temp_dir()).args(args))
}

/// Runs with `input` on stdin.
fn run_with_input(command: &mut Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

fn ids(ended: &Ended) -> Vec<String> {
    ended.json().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
}

/// Both ends of a new terminal: ours and the program's.
fn terminal() -> (OwnedFd, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (ours, theirs)
}

#[test]
fn a_user_from_creation_to_deletion() {
    let server = Server::in_memory();
    let user = |args: &[&str]| server.roster(&[&["user"], args, &["--output", "json"]].concat());

    let mut create = server.command(&["user", "create", "--id", "ada", "--email", "Ada@Example.com", "--name", "Ada"]);
    create.args(["--age", "36", "--attribute", "team=core", "--password-stdin", "--output", "json"]);
    let created = run_with_input(&mut create, "correct horse battery staple\n").with_code(0).json().remove(0);
    let expected = json!({
        "id": "ada", "email": "Ada@Example.com", "name": "Ada", "age": 36, "status": "USER_STATUS_ACTIVE",
        "role": "ROLE_USER", "attributes": { "team": "core" },
        "createdAt": created["createdAt"], "updatedAt": created["createdAt"], "etag": created["etag"],
    });
    assert_eq!(created, expected);
    assert_eq!(user(&["get", "ada"]).with_code(0).json()[0], created);
    assert_eq!(user(&["get", "ada", "--max-staleness", "5000"]).with_code(0).json()[0], created);
    assert_eq!(user(&["get", "--email", "ADA@example.COM"]).with_code(0).json()[0], created);

    let etag = created["etag"].as_str().unwrap();
    let args =
        ["update", "ada", "--name", "Ada King", "--clear", "age", "--attribute", "title=countess", "--etag", etag];
    let updated = user(&args).with_code(0).json().remove(0);
    assert_eq!((&updated["name"], &updated["age"]), (&json!("Ada King"), &Value::Null));
    assert_eq!(updated["attributes"], json!({ "team": "core", "title": "countess" }));
    user(&args).refused(TRY_AGAIN, &["ada has changed", "request id: ", "hint: someone else changed it meanwhile"]);
    let cleared = user(&["update", "ada", "--clear", "name,attributes"]).with_code(0).json().remove(0);
    assert_eq!((&cleared["name"], &cleared["attributes"]), (&Value::Null, &Value::Null));
    let valid = user(&["update", "ada", "--name", "Nobody", "--validate-only"]).with_code(0);
    assert_eq!((&valid.json()[0]["name"], valid.err.as_str()), (&json!("Nobody"), "valid; nothing was changed\n"));

    let inactive = user(&["deactivate", "ada"]).with_code(0).json().remove(0);
    assert_eq!((&inactive["status"], &inactive["name"]), (&json!("USER_STATUS_INACTIVE"), &Value::Null));
    assert_eq!(user(&["deactivate", "ada"]).with_code(0).json(), [inactive]);
    assert_eq!(user(&["reactivate", "ada"]).with_code(0).json()[0]["status"], "USER_STATUS_ACTIVE");

    user(&["delete", "ada"]).refused(USAGE, &["no terminal to ask on", "--yes"]);
    assert_eq!(user(&["delete", "ada", "--yes"]).with_code(0).json(), [json!({ "deleted": "ada" })]);
    user(&["get", "ada"]).refused(NOT_FOUND, &["ada not found", "hint: "]);
    let many = user(&["delete", "ada", "bob", "--yes"]).with_code(NOT_FOUND);
    assert!(many.err.contains("error: ada: ") && many.err.contains("error: bob: "), "{many:?}");
}

#[test]
fn refusals_have_their_exit_code_and_say_what_to_do() {
    let server = Server::in_memory();
    let user = |args: &[&str]| server.roster(&[&["user"], args].concat());
    user(&["create", "--id", "ada", "--email", "ada@example.com"]).with_code(0);
    user(&["create", "--email", "ADA@EXAMPLE.COM"]).refused(CANNOT_CREATE, &["email", "hint: "]);
    user(&["create", "--id", "ada", "--email", "b@example.com"]).refused(CANNOT_CREATE, &["id", "hint: "]);
    let violations = ["\n  email: ", "\n  age: ", "\n  phone: ", "\nrequest id: ", "\nhint: "];
    user(&["create", "--email", "x", "--age", "-1", "--phone", "me"]).refused(DATA, &violations);
    user(&["list", "--filter", "nme = 1"]).refused(DATA, &["filter", "nme"]);
    user(&["list", "--order-by", "shoe"]).refused(DATA, &["order_by", "shoe"]);
    user(&["list", "--page-token", "~garbage"]).refused(DATA, &["page_token"]);
    user(&["update", "ada"]).refused(USAGE, &["nothing to change"]);
    user(&["update", "ada", "--name", "A", "--clear", "name"]).refused(USAGE, &["name is both set and cleared"]);
    run_with_input(&mut server.command(&["user", "create", "--email", "c@d.e", "--password-stdin"]), "")
        .refused(USAGE, &["password", "stdin"]);
    run_with_input(&mut server.command(&["user", "create", "--email", "c@d.e", "--password-stdin"]), "short\n")
        .refused(DATA, &["password: ", "8"]);
    for wrong in [&["usr"][..], &["user", "get"], &["user", "get", "ada", "--shoe"], &["--output", "xml", "demo"]] {
        let ended = roster(wrong).with_code(USAGE);
        assert!(ended.err.starts_with("error: ") && ended.out.is_empty(), "{ended:?}");
    }
    drop(server);

    let nobody = ["user", "list", "--server", "127.0.0.1:1"];
    roster(&nobody).refused(UNAVAILABLE, &["cannot reach a server at 127.0.0.1:1", "refused", "roster serve --dev"]);
    roster(&["user", "list", "--server", "ftp://h"]).refused(USAGE, &["ftp://h", "--server"]);

    let folder = tempfile::tempdir().unwrap();
    let strict = Server::start(command(ROSTER, folder.path()).args([
        "serve",
        "--grpc-addr",
        "127.0.0.1:0",
        "--http-addr",
        "off",
    ]));
    strict.roster(&["user", "list"]).refused(REFUSED, &["sign in", "roster serve --dev"]);
}

#[test]
fn lists_and_searches_follow_pages_in_any_order() {
    const USERS: usize = 1_203;
    let server = Server::in_memory();
    server.fill(USERS);
    let user = |args: &[&str]| server.roster(&[&["user"], args, &["--output", "json"]].concat()).with_code(0);
    let all: Vec<String> = (0..USERS).map(|number| format!("user-{number:04}")).collect();
    let backwards: Vec<String> = all.iter().rev().cloned().collect();
    assert_eq!(ids(&user(&["list", "--all"])), all);
    assert_eq!(ids(&user(&["list", "--all", "--order-by", "email desc"])), backwards);
    assert_eq!(ids(&user(&["search", "ER-", "--limit", "5000", "--order-by", "name desc"])), backwards);
    assert_eq!(ids(&user(&["list", "--filter", "name : \"0007\""])), ["user-0007"]);

    for (command, remark) in [(&["list"][..], "100 shown; for more: "), (&["search", "user"], "100 of 1203 users")] {
        let page = user(&[command, &["--order-by", "email desc"]].concat());
        assert_eq!(ids(&page), backwards[..100]);
        assert!(page.err.starts_with(remark), "{}", page.err);
        let token = page.err.split('\'').nth(1).unwrap();
        let next = user(&[command, &["--order-by", "email desc", "--limit", "7", "--page-token", token]].concat());
        assert_eq!(ids(&next), backwards[100..107]);
    }
    // The last page says nothing of more, even if it is full.
    assert_eq!(user(&["list", "--limit", "1203"]).err, "");
    assert_eq!(user(&["search", "user-12", "--limit", "3"]).err, "3 of 3 users\n");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let server = Server::in_memory();
    server.fill(500);
    let mut command = server.command(&["user", "list", "--all", "--output", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // More than a pipe holds is still to come when the reader goes.
    BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap()).with_code(0);
    assert!(line.contains("user-0000") && ended.err.is_empty(), "{line} {ended:?}");
}

#[test]
fn tables_are_plain_text_where_nobody_looks() {
    let server = Server::in_memory();
    server.roster(&["user", "create", "--id", "ada", "--email", "ada@example.com", "--name", "Ada\u{9}Lovelace 🦀"]);
    server.roster(&["user", "create", "--id", "bob", "--email", "bob@example.com", "--name", "Bob"]).with_code(0);
    for args in [&["user", "get", "bob"][..], &["user", "list"], &["user", "search", "b"], &["doctor"], &["demo"]] {
        let ended = server.roster(args);
        assert!(!ended.out.contains('\x1b') && !ended.err.contains('\x1b'), "{ended:?}");
    }
    let list = server.roster(&["user", "list"]).with_code(0).out;
    assert!(list.lines().next().unwrap().contains("EMAIL") && list.contains("bob@example.com"), "{list}");
    let coloured = server.roster(&["--color", "always", "user", "list"]).with_code(0).out;
    assert!(coloured.contains('\x1b'), "{coloured:?}");
    let with_no_color = |args: &[&str]| run(server.command(args).env("NO_COLOR", "1"));
    assert!(!with_no_color(&["user", "get", "nobody"]).err.contains('\x1b'));
}

#[test]
fn a_person_is_asked_before_a_user_is_deleted() {
    let server = Server::in_memory();
    server.fill(2);
    for (answer, code, left) in [("\n", 0, 2), ("no\n", 0, 2), ("y\n", 0, 1), ("YES\n", 0, 0)] {
        let (mut ours, theirs) = {
            let (ours, theirs) = terminal();
            (fs::File::from(ours), theirs)
        };
        ours.write_all(answer.as_bytes()).unwrap();
        let id = format!("user-000{}", 2 - left.max(1));
        let id = if code == 0 { format!("user-000{left}") } else { id };
        let ended = run(server.command(&["user", "delete", &id]).stdin(theirs)).with_code(code);
        assert!(ended.err.starts_with(&format!("Delete user {id} for good? [y/N] ")), "{ended:?}");
        assert_eq!(server.roster(&["user", "list", "--output", "json"]).json().len(), left, "{answer:?}");
    }
}

#[test]
fn a_server_at_a_terminal_says_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = terminal();
    let mut child = serve(folder.path()).stderr(theirs).spawn().unwrap();
    let mut screen = BufReader::new(fs::File::from(ours));
    let mut greeting = String::new();
    screen.read_line(&mut greeting).unwrap();
    assert!(greeting.contains("127.0.0.1:") && greeting.contains("roster.db"), "{greeting}");
    child.kill().unwrap();
    child.wait().unwrap();
    // Whatever else was said.
    let _ = screen.read_to_string(&mut greeting);
}

#[test]
fn every_command_explains_itself() {
    let commands = [
        "",
        "serve",
        "demo",
        "bench",
        "doctor",
        "health",
        "cert",
        "cert dev",
        "completions",
        "backup",
        "restore",
        "import",
        "export",
        "watch",
        "presence",
        "user",
        "user create",
        "user get",
        "user list",
        "user search",
        "user update",
        "user delete",
        "user deactivate",
        "user reactivate",
        "address",
        "address add",
        "address get",
        "address list",
        "address update",
        "address delete",
        "address set-default",
        "preferences",
        "preferences get",
        "preferences set",
    ];
    for name in commands {
        let args: Vec<&str> = name.split_whitespace().collect();
        for flag in ["-h", "--help"] {
            let help = roster(&[&args[..], &[flag]].concat()).with_code(0);
            assert!(
                help.err.is_empty() && help.out.contains("Usage: roster") && help.out.lines().count() > 5,
                "{help:?}"
            );
            let wide = help.out.lines().find(|line| line.chars().count() > 100);
            assert_eq!(wide, None, "roster {name} {flag}");
        }
    }
    assert!(roster(&["--help"]).out.contains("77  the caller is not known"));
    assert_eq!(roster(&["--version"]).with_code(0).out, concat!("roster ", env!("CARGO_PKG_VERSION"), "\n"));
    for shell in ["bash", "zsh", "fish"] {
        let script = roster(&["completions", shell]).with_code(0).out;
        assert!(script.contains("reactivate") && script.contains("drain") == script.contains("drain-grace"), "{shell}");
    }
    roster(&["completions", "teapot"]).with_code(USAGE);
}

#[test]
fn a_bash_completion_script_is_bash() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("roster.bash"), roster(&["completions", "bash"]).out).unwrap();
    let probe =
        ". ./roster.bash; COMP_WORDS=(roster us); COMP_CWORD=1; _roster roster us roster; echo \"${COMPREPLY[@]}\"";
    let ended = run(command("bash", folder.path()).args(["-c", probe])).with_code(0);
    assert_eq!(ended.out, "user\n", "{ended:?}");
}

#[test]
fn the_doctor_finds_what_would_keep_a_server_from_running() {
    let folder = tempfile::tempdir().unwrap();
    let doctor = |args: &[&str]| {
        let mut command = command(ROSTER, folder.path());
        let elsewhere = ["--dev", "--http-addr", "off", "--server", "127.0.0.1:1"];
        run(command.arg("doctor").args(elsewhere).env("GRPC_PORT", "0").args(args))
    };
    let well = doctor(&["--output", "json"]).with_code(0);
    let checks = well.json();
    assert!(checks.len() >= 6 && checks.iter().all(|check| check["state"] != "fail"), "{checks:#?}");
    assert!(checks.iter().all(|check| check["state"] == "ok" || check["advice"] != ""), "{checks:#?}");
    assert!(doctor(&[]).with_code(0).out.contains("WHAT TO DO"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");

    doctor(&["--workers", "0"]).with_code(CONFIG);
    doctor(&["--database-url", "sqlite:no/such/folder.db"]).with_code(CANNOT_CREATE);
    fs::write(folder.path().join("diary.db"), "Dear diary\n".repeat(100)).unwrap();
    let diary = doctor(&["--database-url", "sqlite:diary.db"]).with_code(DATA);
    assert!(diary.out.contains("is not a SQLite database"), "{diary:?}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let taken = doctor(&["--port", &port]).with_code(UNAVAILABLE);
    assert!(taken.out.contains("in use"), "{taken:?}");

    let server = Server::on_file(folder.path());
    let port = server.grpc.rsplit(':').next().unwrap();
    let beside = doctor(&["--port", port]).with_code(0);
    let pid = server.pid().as_raw_nonzero().to_string();
    assert!(beside.out.contains(&format!("pid {pid}")) && beside.out.contains("by Roster"), "{}", beside.out);
}

#[test]
fn health_is_told_in_one_line_and_by_the_exit_code() {
    let server = Server::in_memory();
    let well = server.roster(&["health"]).with_code(0);
    assert!(well.out.contains("store healthy") && well.out.lines().count() == 1, "{well:?}");
    assert_eq!(server.roster(&["health", "--output", "json"]).json()[0]["status"], "HEALTH_STATUS_HEALTHY");
    let gone = roster(&["health", "--server", "127.0.0.1:1"]).with_code(UNAVAILABLE);
    assert!(gone.out.is_empty() && gone.err.contains("127.0.0.1:1"), "{gone:?}");
}

#[test]
fn the_audit_log_is_listed_for_people_and_for_programs() {
    let server = Server::in_memory();
    assert!(server.roster(&["audit", "list"]).with_code(0).out.contains("no events"));
    for name in ["ada", "bea"] {
        let email = format!("{name}@example.com");
        server.roster(&["user", "create", "--id", name, "--email", &email]).with_code(0);
    }
    server.roster(&["user", "deactivate", "ada"]).with_code(0);

    let events = server.roster(&["audit", "list", "--output", "json"]).with_code(0).json();
    let shown: Vec<_> = events.iter().map(|event| (event["action"].as_str(), event["userId"].as_str())).collect();
    let expected = [("user.deactivated", "ada"), ("user.created", "bea"), ("user.created", "ada")];
    assert_eq!(shown, expected.map(|(action, id)| (Some(action), Some(id))));
    let kinds = ["ACTOR_KIND_DEVELOPER", "AUDIT_OUTCOME_DONE", "127.0.0.1"];
    assert_eq!([&events[0]["actor"]["kind"], &events[0]["outcome"], &events[0]["remoteAddress"]], kinds);

    let filter =
        ["audit", "list", "--filter", "action = \"user.created\"", "--order-by", "occurred_at", "--limit", "1"];
    let table = server.roster(&filter).with_code(0).out;
    assert!(table.starts_with("TIME") && table.contains("user.created  developer  ada"), "{table}");
    assert!(table.contains("1 shown; for more: --page-token '~"), "{table}");
    assert!(server.roster(&["audit", "list", "--filter", "x = 1"]).with_code(DATA).err.contains("unknown field `x`"));
}
