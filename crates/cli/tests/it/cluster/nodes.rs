//! Servers over one database, each at an address that it keeps when it is started again.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};

use super::{
    limits::{SIGN_UP_BURST, SIGN_UPS_PER_MINUTE},
    online::PRESENCE_TIMEOUT,
};
use crate::{
    process::{Ended, ROSTER, command},
    server::Server,
};

/// How many.
pub const NODES: usize = 3;
/// Nothing that a test waits for takes this long.
const LIMIT: Duration = Duration::from_secs(60);

/// One of them.
pub struct Node {
    /// Where it serves gRPC.
    pub grpc: SocketAddr,
    /// Where it serves health.
    pub http: SocketAddr,
    /// Where its operator gets in.
    pub socket: PathBuf,
    folder: PathBuf,
    database_url: String,
    redis_url: String,
    server: Mutex<Option<Server>>,
    /// What all that have ended here have said.
    said: Mutex<String>,
}

/// Addresses that nobody else on this machine uses: a network of loopback of this test's own, so that a port is free
/// whenever a server comes back to it. Connections out of this machine are made from 127.0.0.1.
pub struct Network {
    network: u32,
    pub grpc_port: u16,
    pub http_port: u16,
}

impl Network {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Tests of other processes have other ids, and those of this one other numbers.
        let network = (127 << 24) + ((64 + process::id() % 0x7f00 + number) << 8);
        let this = Self { network, grpc_port: 0, http_port: 0 };
        let ports = [this.host(0), this.host(0)].map(|host| TcpListener::bind((host, 0)).unwrap());
        let [grpc_port, http_port] = ports.map(|listener| listener.local_addr().unwrap().port());
        Self { grpc_port, http_port, ..this }
    }

    /// The balancer has 0.
    pub fn host(&self, number: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network + u32::try_from(number).unwrap() + 1)
    }
}

impl Node {
    pub fn new(network: &Network, number: usize, folder: &Path, (database_url, redis_url): (&str, &str)) -> Self {
        let host = network.host(number);
        Self {
            grpc: (host, network.grpc_port).into(),
            http: (host, network.http_port).into(),
            socket: folder.join(format!("node-{number}.sock")),
            folder: folder.to_owned(),
            database_url: database_url.to_owned(),
            redis_url: redis_url.to_owned(),
            server: Mutex::default(),
            said: Mutex::default(),
        }
    }

    fn command(&self) -> Command {
        let mut command = command(ROSTER, &self.folder);
        command.arg("serve").envs([
            ("DATABASE_URL", self.database_url.clone()),
            ("REDIS_URL", self.redis_url.clone()),
            ("ROSTER_GRPC_ADDR", self.grpc.to_string()),
            ("ROSTER_HTTP_ADDR", self.http.to_string()),
            ("ROSTER_OPERATOR_SOCKET", self.socket.display().to_string()),
            // All clients come from one address.
            ("ROSTER_RATE_SIGN_IN_PER_MINUTE", "0".into()),
            ("ROSTER_RATE_SIGN_UP_PER_MINUTE", SIGN_UPS_PER_MINUTE.to_string()),
            ("ROSTER_RATE_SIGN_UP_BURST", SIGN_UP_BURST.to_string()),
            ("ROSTER_PRESENCE_TIMEOUT_MS", PRESENCE_TIMEOUT.as_millis().to_string()),
            ("ROSTER_DATABASE_CONNECTIONS", "8".into()),
            ("ROSTER_HOUSEKEEPING_EVERY_MS", "1000".into()),
            ("ROSTER_DRAIN_GRACE_MS", "10000".into()),
            ("ROSTER_LOG_LEVEL", "info,roster::call=off".into()),
            // What a test asks for at once is done, and Redis is not away, however slow the machine is.
            ("ROSTER_QUEUE_WAIT_MAX_MS", "600000".into()),
            ("ROSTER_REDIS_WAIT_MAX_MS", "1000".into()),
        ]);
        command
    }

    /// Starts it, again and again while the database does not let it, as whoever looks after a server does.
    pub fn start(&self) {
        let since = Instant::now();
        loop {
            match Server::try_start(&mut self.command()) {
                Ok(server) => {
                    *self.server.lock().unwrap() = Some(server);
                    return;
                }
                Err(ended) => {
                    assert!(ended.code == Some(69) && since.elapsed() < LIMIT, "{ended:?}");
                    self.note(&ended);
                }
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.server.lock().unwrap().as_ref().unwrap().pid(), signal).unwrap();
    }

    /// Waits for its end; gives its exit code.
    pub fn ended(&self) -> Option<i32> {
        let ended = self.server.lock().unwrap().take().unwrap().wait();
        self.note(&ended);
        ended.code
    }

    /// Ends it in order, which has never panicked.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
        assert_eq!(self.ended(), Some(0), "{}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }

    fn note(&self, ended: &Ended) {
        let mut said = self.said.lock().unwrap();
        said.push_str(&ended.err);
        said.push('\n');
    }

    /// All that it has said, once it has ended.
    pub fn log(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}
