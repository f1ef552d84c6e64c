//! The servers under load, each a process of its own, so that its processor time and memory are its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::raw_tonic::Mode;

/// A server that does not accept by then has failed.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const START_POLL: Duration = Duration::from_millis(1);

/// Whether the server logs every call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CallLog {
    Off,
    On,
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub addr: SocketAddr,
}

impl Server {
    /// The limit: this program again, as a server without a store.
    pub fn raw_tonic(mode: Mode) -> anyhow::Result<Self> {
        let addr = free_addr()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("raw-tonic").arg(mode.name()).arg(addr.to_string());
        Self::start(command, addr)
    }

    /// Roster on a database file, with further environment variables.
    pub fn roster(database: &Path, log: CallLog, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::roster_on(&format!("sqlite:{}", database.display()), log, environment)
    }

    /// Roster on a database, with further environment variables.
    pub fn roster_on(database_url: &str, log: CallLog, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let addr = free_addr()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_roster"));
        command
            .args(["serve", "--dev", "--http-addr", "off", "--grpc-addr", &addr.to_string()])
            .args(["--database-url", database_url])
            .env("LOG_LEVEL", if log == CallLog::On { "info" } else { "warn" })
            .envs(environment.iter().copied())
            .stdout(Stdio::null());
        if log == CallLog::On {
            command.stderr(Stdio::null());
        }
        Self::start(command, addr)
    }

    /// Starts the process and waits until it accepts connections.
    fn start(mut command: Command, addr: SocketAddr) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let mut server = Self { child, addr };
        let start = Instant::now();
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            if start.elapsed() > START_TIMEOUT {
                bail!("{command:?} does not accept on {addr}");
            }
            std::thread::sleep(START_POLL);
        }
        Ok(server)
    }

    /// Processor time that the process has used, in user and kernel mode.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time(&self.child.id().to_string())
    }

    /// Memory that the process has resident, in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most that it has had, in bytes.
    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }
}

/// Processor time that a process has used, in user and kernel mode: its id, or `self`.
pub fn cpu_time(process: &str) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the name in brackets, which may hold anything; utime and stime are the 14th and 15th.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat has no name")?;
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().context("/proc/PID/stat has no times"))
        .sum::<anyhow::Result<_>>()?;
    Ok(Duration::from_secs(1) * u32::try_from(ticks)? / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of this machine that nothing listens on.
fn free_addr() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
