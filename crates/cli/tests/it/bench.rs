//! `roster bench`: it measures what it says, leaves nothing behind, and asks before it writes where that matters.

use std::{fs, path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    process::{Ended, ROSTER, command, run},
    server::Server,
};

const USAGE: i32 = 64;
const TRY_AGAIN: i32 = 75;
const REFUSED: i32 = 77;

/// As short as it can be and still call.
const SHORT: [&str; 8] = ["--duration", "0.3", "--warm-up", "0", "--users", "20", "--output", "json"];

fn bench(server: &Server, args: &[&str]) -> Ended {
    server.roster(&[&["bench"], args, &SHORT].concat())
}

fn report(server: &Server, args: &[&str]) -> Value {
    let ended = bench(server, args).with_code(0);
    assert_eq!(ended.err, "", "nothing but figures where nobody looks");
    ended.json().remove(0)
}

fn users(server: &Server) -> usize {
    server.roster(&["user", "list", "--all", "--output", "json"]).with_code(0).json().len()
}

/// Without `--dev`.
fn strict(folder: &Path) -> Server {
    let mut serve = command(ROSTER, folder);
    Server::start(serve.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "off"]))
}

#[test]
fn each_workload_is_measured_and_leaves_nothing_behind() {
    let server = Server::in_memory();
    let workloads = [
        ("reads", &["GetUser"][..]),
        ("writes", &["CreateUser"]),
        ("mixed", &["GetUser", "SearchUsers", "UpdateUser"]),
        ("streams", &["ListUsers"]),
    ];
    for (workload, methods) in workloads {
        let report = report(&server, &[workload, "--concurrency", "8"]);
        assert_eq!((&report["loop"], &report["rate"], &report["unsent"]), (&"closed".into(), &Value::Null, &0.into()));
        let calls = report["calls"].as_array().unwrap();
        assert!(!calls.is_empty(), "{report}");
        for call in calls {
            assert!(methods.contains(&call["method"].as_str().unwrap()), "{report}");
            let ok = call["ok"].as_f64().unwrap();
            assert!(ok > 0.0 && call["failed"] == 0, "{report}");
            assert!((call["okPerSecond"].as_f64().unwrap() * 0.3 - ok).abs() < 1e-6, "{report}");
            let times = ["p50", "p90", "p99", "p999", "max"].map(|name| call["seconds"][name].as_f64().unwrap());
            assert!(times[0] > 0.0 && times.is_sorted(), "{report}");
        }
        assert_eq!(users(&server), 0, "after {workload}");
    }
    // The page of a stream has all users that were made.
    let streams = report(&server, &["streams", "--concurrency", "1"]);
    assert!(streams["calls"][0]["messagesPerSecond"].as_f64() >= streams["calls"][0]["okPerSecond"].as_f64());
}

#[test]
fn calls_at_a_rate_begin_as_often_as_they_are_due_and_count_from_then() {
    let server = Server::in_memory();
    server.fill(3);
    let open = report(&server, &["reads", "--rate", "100"]);
    let call = &open["calls"][0];
    let begun = call["ok"].as_u64().unwrap() + call["failed"].as_u64().unwrap() + open["unsent"].as_u64().unwrap();
    assert_eq!((begun, &open["loop"], &open["rate"]), (30, &"open".into(), &100.into()), "{open}");
    // Users that were there are read, and stay.
    assert_eq!(users(&server), 3);
    // One caller for far more than it can call: what is not begun in time is told, and what is took as long as it waited.
    let swamped = report(&server, &["streams", "--rate", "100000", "--concurrency", "1", "--connections", "1"]);
    let call = &swamped["calls"][0];
    let begun = call["ok"].as_u64().unwrap() + call["failed"].as_u64().unwrap();
    assert_eq!(begun + swamped["unsent"].as_u64().unwrap(), 30_000, "{swamped}");
    assert!(call["seconds"]["max"].as_f64().unwrap() > 0.1, "{swamped}");
}

#[test]
fn a_table_is_shown_to_people() {
    let server = Server::in_memory();
    let ended = server.roster(&["bench", "reads", "--duration", "0.2", "--warm-up", "0", "--users", "5"]).with_code(0);
    let header = ended.out.lines().next().unwrap();
    assert!(["CALL", "OK/S", "P50", "P99", "MAX"].iter().all(|column| header.contains(column)), "{ended:?}");
    assert!(ended.out.contains("GetUser") && ended.out.contains("each caller waited"), "{ended:?}");
}

#[test]
fn a_server_that_people_use_is_written_to_with_yes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = strict(folder.path());
    // As nobody.
    bench(&server, &["writes"]).refused(USAGE, &["not a server for development", "--yes"]);
    bench(&server, &["reads"]).refused(REFUSED, &["sign in"]);
    // As the machine's operator, who may do everything.
    let socket = format!("unix:{}", folder.path().join("roster.db.sock").display());
    let as_operator = |args: &[&str]| {
        let mut command = command(ROSTER, folder.path());
        run(command.args(["bench", "--server", &socket]).args(args).args(SHORT))
    };
    as_operator(&["writes"]).refused(USAGE, &["not a server for development", "--yes"]);
    // There is nobody to read, so somebody would have to be made.
    as_operator(&["reads"]).refused(USAGE, &["--yes"]);
    let report = as_operator(&["writes", "--yes"]).with_code(0).json().remove(0);
    assert!(report["calls"][0]["ok"].as_u64().unwrap() > 0, "{report}");
    let left = run(command(ROSTER, folder.path()).args(["user", "list", "--server", &socket])).with_code(0);
    assert_eq!(left.out, "no users\n");
}

#[test]
fn what_was_made_is_deleted_when_it_is_interrupted() {
    let server = Server::in_memory();
    // Under `nohup` the third is ignored, by those that we start too.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let ignores_hangup = u64::from_str_radix(ignored, 16).unwrap() & 1 != 0;
    let signals = [Signal::INT, Signal::TERM, Signal::HUP];
    for signal in signals.into_iter().filter(|signal| *signal != Signal::HUP || !ignores_hangup) {
        let mut command = server.command(&["bench", "writes", "--duration", "600", "--concurrency", "4"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while users(&server) == 0 {}
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.out, "");
        ended.refused(TRY_AGAIN, &["cut short"]);
        assert_eq!(users(&server), 0);
    }
}

/// `roster …` as the operator of a server that is not for development.
fn as_operator(folder: &Path, args: &[&str]) -> Ended {
    let socket = format!("unix:{}", folder.join("roster.db.sock").display());
    run(command(ROSTER, folder).args(args).args(["--server", &socket]))
}

/// What `roster bench` says of a workload with an API key for this.
fn bench_with(folder: &Path, server: &Server, scopes: &[&str], workload: &str) -> Ended {
    let create = ["api-key", "create", "bench", "--output", "json"];
    let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
    let key = as_operator(folder, &create.into_iter().chain(scopes).collect::<Vec<_>>()).with_code(0).json().remove(0);
    let mut bench = server.command(&["bench", workload, "--yes", "--concurrency", "1"]);
    run(bench.args(SHORT).env("ROSTER_TOKEN", key["secret"].as_str().unwrap()))
}

#[test]
fn calls_that_fail_are_told_after_the_figures_and_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let server = strict(folder.path());
    // Two of ten calls of this are not allowed.
    let scopes = ["users.create", "users.delete", "users.read"];
    let ended = bench_with(folder.path(), &server, &scopes, "mixed");
    let report = ended.json().remove(0);
    let calls = report["calls"].as_array().unwrap();
    let sum = |what: &str| calls.iter().map(|call| call[what].as_u64().unwrap()).sum::<u64>();
    let (ok, failed) = (sum("ok"), sum("failed"));
    assert!(ok > 0 && failed > 0, "{report}");
    let told = format!("error: {failed} of {} calls failed, ", ok + failed);
    assert_eq!(ended.err.lines().filter(|line| line.contains("calls failed")).count(), 1, "{ended:?}");
    ended.refused(REFUSED, &[&told, " first: this needs the permission users.", "(PERMISSION_DENIED)"]);
    assert_eq!(as_operator(folder.path(), &["user", "list"]).with_code(0).out, "no users\n");
}

#[test]
fn what_a_busy_server_does_not_delete_at_once_is_deleted_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command(ROSTER, folder.path());
    serve.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "off"]);
    // Ten writes a second: far fewer than there are to delete.
    serve.envs([("ROSTER_RATE_WRITE_PER_MINUTE", "600"), ("ROSTER_RATE_WRITE_BURST", "5")]);
    let server = Server::start(&mut serve);
    let ended = bench_with(folder.path(), &server, &["users.create", "users.delete"], "writes");
    let report = ended.json().remove(0);
    let (ok, failed) = (report["calls"][0]["ok"].as_u64().unwrap(), report["calls"][0]["failed"].as_u64().unwrap());
    assert!(ok >= 5 && failed > 0, "{report}");
    // Whoever reads no figures knows it too.
    let told = format!("error: {failed} of {} calls failed, CreateUser first: ", ok + failed);
    ended.refused(TRY_AGAIN, &[&told, "(RATE_LIMITED)", "request id: "]);
    assert_eq!(as_operator(folder.path(), &["user", "list"]).with_code(0).out, "no users\n");
}

#[test]
fn what_could_not_be_deleted_is_told_with_how_to_delete_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = strict(folder.path());
    let ended = bench_with(folder.path(), &server, &["users.create"], "writes");
    let list = ["user", "list", "--all", "--output", "json"];
    let all = as_operator(folder.path(), &list).with_code(0).json();
    let run = all[0]["id"].as_str().unwrap().rsplit_once('-').unwrap().0;
    let filter = format!("email : \"{run}-\"");
    assert!(ended.err.contains("could not be deleted") && ended.err.contains(&filter), "{ended:?}");
    let found = as_operator(folder.path(), &[&list[..], &["--filter", &filter]].concat()).with_code(0);
    assert_eq!(found.json().len(), all.len());
}

#[test]
fn nonsense_is_refused_before_anything_is_called() {
    let refused = |args: &[&str], fragment: &str| {
        let folder = tempfile::tempdir().unwrap();
        let ended = run(command(ROSTER, folder.path()).arg("bench").args(args));
        let ended = ended.with_code(USAGE);
        assert!(ended.err.starts_with("error: ") && ended.err.contains(fragment) && ended.out.is_empty(), "{ended:?}");
    };
    refused(&["sleeps"], "reads, writes, mixed, streams");
    refused(&[], "<WORKLOAD>");
    refused(&["reads", "--duration", "0"], "--duration");
    refused(&["reads", "--duration=-1"], "0 to 600");
    refused(&["reads", "--duration", "nan"], "0 to 600");
    refused(&["reads", "--rate", "0"], "--rate");
    refused(&["reads", "--connections", "0"], "--connections");
    refused(&["reads", "--concurrency", "many"], "--concurrency");
}
