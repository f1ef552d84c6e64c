//! Servers of Redis for tests: throwaway ones that end with this process, each at an address of its own.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use redis::{Client, Commands as _, Connection, FromRedisValue};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Names the program, where it is not on the path.
const NAMED: &str = "ROSTER_TEST_REDIS_SERVER";

/// Slots of a cluster (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
const SLOTS: u16 = 16_384;

/// Stays beside the server until this process is gone, and then ends it.
const GUARD: &str = include_str!("server.sh");

/// A server that a test may stop, freeze and empty.
pub struct RedisServer {
    pub addr: SocketAddr,
    options: Vec<String>,
    running: Option<Running>,
}

struct Running {
    guard: Child,
    pid: Pid,
    /// What it keeps, until the guard has removed it.
    folder: TempDir,
}

impl RedisServer {
    /// One that lets everybody in.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Three that know each other and share the slots.
    pub async fn cluster() -> [Self; 3] {
        let told = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-announce-ip", "IP"];
        let nodes = [(); 3].map(|()| Self::with(&told));
        let share = SLOTS / 3;
        for (number, node) in (0..).zip(&nodes) {
            let last = if number == 2 { SLOTS - 1 } else { (number + 1) * share - 1 };
            node.ask::<()>(&format!("CLUSTER ADDSLOTSRANGE {} {last}", number * share));
            node.ask::<()>(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
        }
        for node in &nodes[1..] {
            node.ask::<()>(&format!("CLUSTER MEET {} {}", nodes[0].addr.ip(), nodes[0].addr.port()));
        }
        for node in &nodes {
            while !node.ask::<String>("CLUSTER INFO").contains("cluster_state:ok") {
                tokio::task::yield_now().await;
            }
        }
        nodes
    }

    /// One that is told this besides; `IP` and `PORT` stand for its own.
    pub fn with(options: &[&str]) -> Self {
        let addr = free_addr();
        let (ip, port) = (addr.ip().to_string(), addr.port().to_string());
        let mut all = vec!["--bind".to_owned(), ip.clone(), "--protected-mode".into(), "no".into()];
        if !options.contains(&"--tls-port") {
            all.extend(["--port".into(), port.clone()]);
        }
        all.extend(options.iter().map(|option| match *option {
            "PORT" => port.clone(),
            "IP" => ip.clone(),
            other => other.to_owned(),
        }));
        let mut server = Self { addr, options: all, running: None };
        server.start_again();
        server
    }

    /// Where it is, as `redis_url` takes it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// Starts it at the same address, with nothing in it.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none());
        let program = find_program().unwrap_or_else(|problem| panic!("{problem}"));
        let folder = tempfile::Builder::new().prefix("roster-redis-").tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "server.sh"]).arg(program).arg(folder.path()).args(&self.options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What ends us from the keyboard must not end what tidies up after us.
        command.process_group(0);
        let mut guard = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(guard.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        let Some(pid) = said.trim().parse().ok().and_then(Pid::from_raw) else {
            let mut problem = String::new();
            guard.stderr.as_mut().unwrap().read_to_string(&mut problem).unwrap();
            panic!("Redis does not start: {problem}");
        };
        self.running = Some(Running { guard, pid, folder });
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        drop(self.running.take());
    }

    /// Stops its process in the middle of whatever it does; connections stay open, and new ones are taken by the system.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.running.as_ref().unwrap().pid, signal).unwrap();
    }

    /// A connection of its own.
    pub fn connect(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// What a command gives, the words of which are apart.
    pub fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut asked = redis::cmd(words.next().unwrap());
        asked.arg(words.collect::<Vec<_>>());
        asked.query(&mut self.connect()).unwrap()
    }

    /// All its keys, in order.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.connect().keys("*").unwrap();
        keys.sort();
        keys
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = kill_process(self.pid, Signal::KILL);
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// An address of the loopback network that is this process' alone, and a port of it that was not given before: nobody can
/// take it before the server does.
fn free_addr() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(10_000);
    let [_, high, middle, low] = process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 64 + (high & 0x3f), middle, low);
    (ip, PORT.fetch_add(1, Ordering::Relaxed)).into()
}

fn find_program() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os(NAMED) {
        return Ok(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/bin", "/usr/local/bin", "/usr/sbin"].map(PathBuf::from));
    let names = |folder: PathBuf| ["redis-server", "valkey-server"].map(|name| folder.join(name));
    folders.flat_map(names).find(|program| program.is_file()).ok_or_else(|| {
        format!(
            "the tests need Redis: install what Debian calls redis-server (scripts/setup --tests does), or name the \
             program with {NAMED}"
        )
    })
}

#[test]
fn a_throwaway_server_ends_with_whoever_started_it() {
    let mut server = RedisServer::start();
    assert_eq!(server.ask::<String>("PING"), "PONG");
    let running = server.running.as_mut().unwrap();
    // As the end of our process does.
    drop(running.guard.stdin.take());
    running.guard.wait().unwrap();
    assert!(!running.folder.path().exists());
    assert!(Client::open(server.url()).unwrap().get_connection().is_err());
}
