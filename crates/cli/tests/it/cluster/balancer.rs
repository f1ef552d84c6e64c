//! HAProxy with the configuration that `deploy/` has, before the servers of a test.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::nodes::{NODES, Network};
use crate::process::command;

/// Runs a program until standard input ends, which it does when whoever started this is gone, however that came about.
const GUARD: &str = "\"$@\" & cat >/dev/null; kill $! && wait $!";
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/haproxy/haproxy.cfg");
/// How often it is asked what it knows, while something is waited for.
const ASK_EVERY: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(30);

pub struct Balancer {
    guard: Child,
    socket: PathBuf,
    /// Where it listens.
    pub endpoint: String,
}

impl Balancer {
    /// Starts it and waits until it has found all servers well.
    pub fn start(network: &Network, folder: &Path) -> Self {
        let program = ["haproxy", "/usr/sbin/haproxy", "/usr/local/sbin/haproxy"]
            .into_iter()
            .find(|name| Command::new(name).arg("-v").stdout(Stdio::null()).status().is_ok());
        let program = program.unwrap_or_else(|| {
            panic!("the tests need HAProxy: install what Debian calls haproxy (scripts/setup --tests does)")
        });
        let socket = folder.join("haproxy.sock");
        let endpoint = format!("{}:{}", network.host(0), network.grpc_port);
        let mut command = command("sh", folder);
        command.args(["-c", GUARD, "sh", program, "-db", "-q", "-f", CONFIG]).stdin(Stdio::piped());
        command.env("LISTEN", &endpoint).env("ADMIN_SOCKET", &socket);
        command.env("GRPC_PORT", network.grpc_port.to_string()).env("HTTP_PORT", network.http_port.to_string());
        for number in 1..=NODES {
            command.env(format!("NODE_{number}"), network.host(number).to_string());
        }
        let this = Self { guard: command.spawn().unwrap(), socket, endpoint };
        this.until("all servers are up", |states| states.iter().all(|state| state == "UP"));
        this
    }

    /// Waits until it takes the server, counted from 1, for well.
    pub fn until_up(&self, number: usize) {
        self.until("the server is up", |states| states[number - 1] == "UP");
    }

    fn until(&self, what: &str, wanted: impl Fn(&[String]) -> bool) {
        let since = Instant::now();
        loop {
            let states = self.states();
            if states.as_deref().is_some_and(&wanted) {
                return;
            }
            assert!(since.elapsed() < LIMIT, "{what}: {states:?}");
            thread::sleep(ASK_EVERY);
        }
    }

    /// What it thinks of each server: `UP`, `NOLB` for one that drains, `DOWN`, or on the way between them.
    fn states(&self) -> Option<Vec<String>> {
        let mut socket = UnixStream::connect(&self.socket).ok()?;
        // Servers alone, by their type.
        socket.write_all(b"show stat -1 4 -1\n").ok()?;
        let mut table = String::new();
        socket.read_to_string(&mut table).ok()?;
        let mut lines = table.lines();
        let at = lines.next()?.split(',').position(|name| name == "status")?;
        let states: Vec<_> = lines.filter_map(|line| Some(line.split(',').nth(at)?.to_owned())).collect();
        (states.len() == NODES).then_some(states)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
