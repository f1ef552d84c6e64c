//! `roster watch` as people and programs run it: it goes on through kills, of itself and of the server.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdout, Stdio},
    sync::{Arc, Mutex},
};

use http::HeaderValue;
use roster_api::{
    Client,
    auth::v1::SignInRequest,
    user::v1::{GetUserRequest, WatchUsersRequest, watch_users_request::Start, watch_users_response::Event},
    watch::{Step, Watch},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tonic::Code;

use crate::{
    process::{ROSTER, command, run},
    server::{Server, new_user},
};

/// A `roster watch` that runs; killed when dropped.
struct Watching {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Watching {
    fn start(server: &Server, folder: &Path, args: &[&str]) -> Self {
        let mut command = command(ROSTER, folder);
        command.arg("watch").args(args).env("ROSTER_SERVER", &server.grpc);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The next line; none at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next event that is no heartbeat.
    fn event(&mut self) -> Value {
        loop {
            let event: Value = serde_json::from_str(&self.line()).unwrap();
            assert!(event["resumeToken"].is_string(), "{event}");
            if event.get("heartbeat").is_none() {
                return event;
            }
        }
    }

    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn create(server: &Server, id: &str) {
    let email = format!("{id}@example.com");
    server.roster(&["user", "create", "--id", id, "--email", &email, "--name", id]).with_code(0);
}

#[test]
fn people_get_a_line_for_each_change_until_they_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    create(&server, "ada");
    let mut watching = Watching::start(&server, folder.path(), &["--snapshot", "--filter", "name:a"]);
    assert_eq!(watching.line(), "there is  ada <ada@example.com> ada");
    assert_eq!(watching.line(), "1 users there; what changes follows");
    server.roster(&["user", "update", "ada", "--name", "Countess of Lovelace", "--age", "36"]).with_code(0);
    let line = watching.line();
    let rest = "  updated  ada <ada@example.com> Countess of Lovelace: name, age  (developer)";
    assert!(line.ends_with(rest) && line.len() == rest.len() + "2026-01-01T00:00:00.000Z".len(), "{line}");
    server.roster(&["user", "update", "ada", "--name", "Bee"]).with_code(0);
    assert!(watching.line().contains("  matches no more  ada "));
    assert_eq!(watching.end(Signal::INT), Some(0));
}

#[test]
fn a_watch_with_a_token_file_goes_on_through_kills_of_both_ends() {
    const ROUNDS: usize = 6;
    let folder = tempfile::tempdir().unwrap();
    let args = ["--snapshot", "--token-file", "users.token", "--output", "json"];
    let mut server = Server::on_file(folder.path());
    let port = server.grpc.rsplit_once(':').unwrap().1.to_owned();
    create(&server, "there");
    let mut watching = Watching::start(&server, folder.path(), &args);
    assert_eq!(watching.event()["snapshotUser"]["id"], "there");
    assert_eq!(watching.event()["snapshotComplete"]["userCount"], "1");
    let (mut seen, mut repeats) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let id = format!("u-{round}");
        create(&server, &id);
        while seen.last() != Some(&id) {
            let event = watching.event();
            // Killed before it had kept the token of what it had shown, it shows that again; nothing else.
            if event.get("snapshotComplete").is_some() {
                assert!(seen.is_empty());
                continue;
            }
            let told = event["change"]["userId"].as_str().unwrap().to_owned();
            if seen.last() == Some(&told) { repeats += 1 } else { seen.push(told) }
        }
        match round % 3 {
            0 => {
                drop(watching);
                watching = Watching::start(&server, folder.path(), &args);
            }
            1 => {
                // It waits for the server, which comes back with what it had.
                server.kill();
                let mut again = command(ROSTER, folder.path());
                server = Server::start(again.args(["serve", "--dev", "--port", &port, "--http-addr", "off"]));
            }
            _ => {
                assert_eq!(watching.end(Signal::TERM), Some(0));
                create(&server, &format!("away-{round}"));
                watching = Watching::start(&server, folder.path(), &args);
                assert_eq!(watching.event()["change"]["userId"], format!("away-{round}"));
            }
        }
    }
    assert_eq!(seen, (0..ROUNDS).map(|round| format!("u-{round}")).collect::<Vec<_>>());
    assert!(repeats <= ROUNDS / 3, "{repeats}");

    // What is no token is refused, and so is one that this server did not give.
    drop(watching);
    for (token, fragment) in [("", "holds no token"), ("~AbCd", "RESUME_TOKEN_INVALID")] {
        fs::write(folder.path().join("users.token"), token).unwrap();
        let mut command = command(ROSTER, folder.path());
        let ended = run(command.arg("watch").args(args).env("ROSTER_SERVER", &server.grpc)).with_code(65);
        assert!(ended.err.contains(fragment), "{ended:?}");
    }
}

#[test]
fn a_token_file_is_one_watchs_until_it_ends_however_it_ends() {
    const TRY_AGAIN: i32 = 75;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    let args = ["--snapshot", "--token-file", "users.token", "--output", "json"];
    let second = || {
        let mut command = command(ROSTER, folder.path());
        run(command.arg("watch").args(args).env("ROSTER_SERVER", &server.grpc))
    };
    create(&server, "there");
    let mut watching = Watching::start(&server, folder.path(), &args);
    assert_eq!(watching.event()["snapshotUser"]["id"], "there");
    assert_eq!(watching.event()["snapshotComplete"]["userCount"], "1");
    // However often the file has been replaced, by whatever name it is called.
    for id in ["one", "two"] {
        create(&server, id);
        assert_eq!(watching.event()["change"]["userId"], id);
        let ended = second();
        assert_eq!(ended.out, "");
        ended.refused(TRY_AGAIN, &["users.token is in use: another process", "--token-file"]);
    }
    let whole = folder.path().join("users.token");
    let mut by_other_name = command(ROSTER, Path::new("/"));
    by_other_name.args(["watch", "--token-file"]).arg(whole).env("ROSTER_SERVER", &server.grpc);
    run(&mut by_other_name).refused(TRY_AGAIN, &["users.token is in use"]);

    // Killed, it may not have kept the token of what it showed last.
    drop(watching);
    create(&server, "three");
    let mut watching = Watching::start(&server, folder.path(), &args);
    let mut next = watching.event()["change"]["userId"].clone();
    if next == "two" {
        next = watching.event()["change"]["userId"].clone();
    }
    assert_eq!(next, "three");
    assert_eq!(watching.end(Signal::TERM), Some(0));
    create(&server, "four");
    assert_eq!(Watching::start(&server, folder.path(), &args).event()["change"]["userId"], "four");
}

/// A watch of the Rust client, and what it has heard.
struct Following {
    watch: Watch,
    /// Users in the order in which they were heard of.
    users: Vec<String>,
    cuts: usize,
}

impl Following {
    fn start(client: &Client) -> Self {
        let request = WatchUsersRequest {
            start: Some(Start::Snapshot(true)),
            heartbeat_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..Default::default()
        };
        Self { watch: client.watch(request), users: Vec::new(), cuts: 0 }
    }

    async fn until(&mut self, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            match self.watch.step().await.unwrap() {
                Step::Cut(..) => self.cuts += 1,
                Step::Told(told) => match told.event {
                    Some(Event::SnapshotUser(user)) => self.users.push(user.id),
                    Some(Event::Change(change)) => self.users.push(change.user_id),
                    _ => {}
                },
            }
        }
    }
}

#[tokio::test]
async fn the_clients_watch_goes_on_through_the_end_of_its_token_and_a_kill_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |grpc: &str| {
        let mut serve = command(ROSTER, folder.path());
        serve.args(["serve", "--grpc-addr", grpc, "--http-addr", "off"]);
        Server::start(serve.env("ROSTER_ACCESS_TOKEN_LIFETIME_MS", "2000"))
    };
    let mut create = command(ROSTER, folder.path());
    create.args(["admin", "create", "--email", "root@example.com"]).stdin(Stdio::piped());
    let mut child = create.stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse battery\n").unwrap();
    assert!(child.wait().unwrap().success());

    let server = serve("127.0.0.1:0");
    let address = server.grpc.clone();
    let nobody = Client::connect(&address).await.unwrap();
    let sign_in = SignInRequest {
        login: "root@example.com".into(),
        password: "correct horse battery".into(),
        ..SignInRequest::default()
    };
    let tokens = nobody.auth().sign_in(sign_in).await.unwrap().into_inner().tokens.unwrap();
    let first = Arc::new(Mutex::new(tokens.access_token.clone()));
    let used = Arc::clone(&first);
    // What the watch begins with is the last token that was renewed before it.
    let client =
        nobody.with_session(tokens, move |renewed| *used.lock().unwrap() = renewed.access_token.clone()).unwrap();
    let create = async |id: &str| client.users().create_user(new_user(id)).await.map(drop).unwrap();
    create("there").await;
    let mut following = Following::start(&client);
    following.until(|it| it.users.len() == 2).await;
    let began_with = first.lock().unwrap().clone();
    // The watch ends with its token, and goes on with the next.
    following.until(|it| it.cuts == 1).await;
    let old = HeaderValue::try_from(format!("Bearer {began_with}")).unwrap();
    let mut with_old = nobody.with_authorization(old).unwrap().users();
    let refused = with_old.get_user(GetUserRequest { user_id: "there".into() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    create("late").await;
    following.until(|it| it.users.len() == 3).await;

    create("before-the-kill").await;
    server.kill();
    // It notices, and waits; what it had not been told it hears of afterwards, with another token.
    let cuts = following.cuts;
    following.until(|it| it.cuts > cuts).await;
    let server = serve(&address);
    create("after-the-kill").await;
    following.until(|it| it.users.len() == 5).await;
    assert_ne!(*first.lock().unwrap(), began_with);
    following.users[..2].sort_unstable();
    assert_eq!(following.users[1..], ["there", "late", "before-the-kill", "after-the-kill"]);
    server.stop();
}
