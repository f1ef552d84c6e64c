//! `roster presence` against a real server: what it prints, and how it ends.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{process::run, server::Server};

const DATA: i32 = 65;
const UNAVAILABLE: i32 = 69;

/// A command that goes on, and what it prints.
struct Live {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Live {
    fn start(server: &Server, args: &[&str]) -> Self {
        let mut roster = server.command(&["presence"]);
        roster.args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = roster.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: the rest of what it printed, and its code.
    fn end(mut self) -> (Vec<String>, Option<i32>) {
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        (rest, self.child.wait().unwrap().code())
    }
}

#[test]
fn clients_come_are_seen_and_go() {
    let server = Server::in_memory();
    let list = |args: &[&str]| server.roster(&[&["presence", "list"], args].concat()).with_code(0);
    assert_eq!(list(&[]).out, "no clients\n");
    let mut watch = Live::start(&server, &["watch", "--prefix", "ada/"]);
    assert_eq!(watch.line(), "0 known; now what changes");

    let mut laptop = Live::start(&server, &["connect", "ada/laptop"]);
    assert_eq!(laptop.line(), "ada/laptop is connected; Ctrl-C ends it");
    assert!(watch.line().starts_with("+ ada/laptop  connected  2"));
    let mut phone = Live::start(&server, &["connect", "ada/phone"]);
    phone.line();
    assert!(watch.line().starts_with("+ ada/phone  connected"));
    let table = list(&[]).out;
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["CLIENT", "STATUS", "STREAMS", "LAST", "SEEN"]);
    assert_eq!(words[2][..3], ["ada/laptop", "connected", "1"]);
    assert!(words[3][0] == "ada/phone" && words.len() == 4, "{table}");
    let one = list(&["ada/phone", "--output", "json"]).json().remove(0);
    let fields = (one["clientId"].as_str(), one["status"].as_str(), one["connectionCount"].as_i64());
    assert_eq!(fields, (Some("ada/phone"), Some("CLIENT_STATUS_CONNECTED"), Some(1)));
    assert!(list(&["--limit", "1"]).out.contains("1 shown; for more: --page-token '~"));

    laptop.signal(Signal::INT);
    assert_eq!(laptop.end(), (vec!["ada/laptop is disconnected".to_owned()], Some(0)));
    assert!(watch.line().starts_with("- ada/laptop  disconnected"));
    // One that is killed says no goodbye, and is gone all the same.
    phone.signal(Signal::KILL);
    assert!(watch.line().starts_with("- ada/phone  disconnected"));
    let mut json = Live::start(&server, &["watch", "ada/phone", "--output", "json"]);
    assert!(json.line().contains(r#""status":"CLIENT_STATUS_DISCONNECTED""#));
    for live in [watch, json] {
        live.signal(Signal::INT);
        assert_eq!(live.end(), (vec![], Some(0)));
    }
}

#[test]
fn a_watch_goes_on_with_the_next_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on_file(folder.path());
    // A name that the next server has too.
    let socket = format!("unix:{}", folder.path().join("roster.db.sock").display());
    let mut watch = Live::start(&server, &["watch", "--server", &socket]);
    assert_eq!(watch.line(), "0 known; now what changes");
    server.kill();
    let server = Server::on_file(folder.path());
    assert_eq!(watch.line(), "0 known; now what changes");
    server.stop();
    let server = Server::on_file(folder.path());
    assert_eq!(watch.line(), "0 known; now what changes");
    let mut ada = Live::start(&server, &["connect", "ada"]);
    assert_eq!(ada.line(), "ada is connected; Ctrl-C ends it");
    assert!(watch.line().starts_with("+ ada  connected"));
    for live in [ada, watch] {
        live.signal(Signal::KILL);
        live.end();
    }
    // One that has not begun finds that nobody is there.
    let mut watch = server.command(&["presence", "watch", "--server", &socket]);
    server.kill();
    run(&mut watch).with_code(UNAVAILABLE);
}

#[test]
fn what_is_no_client_is_refused_in_words() {
    let server = Server::in_memory();
    for args in [&["connect", ""][..], &["list", "a\nb"], &["watch", ""]] {
        server.roster(&[&["presence"], args].concat()).refused(DATA, &["client_id"]);
    }
}
