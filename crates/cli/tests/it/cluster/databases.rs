//! A PostgreSQL with a standby, both of a test's own: restarted, cut off, and replaced one by the other.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::Child,
};

use tokio_postgres::{Client, NoTls};

use crate::postgres::{find_programs, run_script};

const PAIR: &str = include_str!("pair.sh");
const PATRONI: &str = include_str!("patroni.sh");
const PATRONI_CONFIG: &str = include_str!("../../../../../deploy/patroni/patroni.yml");
/// If it is set, Patroni on etcd runs them, if both are installed (Debian's patroni and etcd-server).
const WITH_PATRONI: &str = "ROSTER_CHAOS_PATRONI";

/// What can be done to them; see the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The primary restarts in order.
    Restart,
    /// It dies and recovers.
    Crash,
    /// It dies for good, and the standby becomes the primary.
    Promote,
    /// The two change places in order; by Patroni alone.
    Switch,
    /// One that has died becomes a standby; returns when commits wait for it.
    Join,
}

/// Both, and the script that runs them.
pub struct Pair {
    script: Child,
    /// As `--database-url` takes it: of both, whichever takes writes is used.
    pub url: String,
    /// Patroni runs them.
    pub by_patroni: bool,
}

impl Pair {
    /// A primary whose commits wait for its standby.
    pub fn start() -> Self {
        let programs = find_programs().unwrap_or_else(|| {
            panic!("the tests need PostgreSQL: install what Debian calls postgresql (scripts/setup --tests does)")
        });
        let folder = tempfile::Builder::new().prefix("roster-pair-").tempdir().unwrap().keep();
        let by_patroni = env::var_os(WITH_PATRONI).is_some();
        if by_patroni {
            fs::write(folder.join("patroni.yml"), PATRONI_CONFIG).unwrap();
        }
        let script = if by_patroni { PATRONI } else { PAIR };
        let (script, url) = run_script(script, &programs, &folder, &[]).unwrap_or_else(|problem| panic!("{problem}"));
        Self { script, url, by_patroni }
    }

    /// Does this, and returns when it is done.
    pub fn does(&mut self, deed: Deed) {
        let word = match deed {
            Deed::Restart => "restart",
            Deed::Crash => "crash",
            Deed::Promote => "promote",
            Deed::Switch => "switch",
            Deed::Join => "join",
        };
        writeln!(self.script.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut answer = String::new();
        BufReader::new(self.script.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
        if answer.trim() != "done" {
            let mut problem = String::new();
            self.script.stderr.as_mut().unwrap().read_to_string(&mut problem).unwrap();
            panic!("{deed:?}: {problem}");
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // The end of its input ends the script.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// A connection to whichever takes writes.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
