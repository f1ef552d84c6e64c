//! `roster serve`: runs the server until it is told to stop.

use std::{
    io::{self, IsTerminal as _, Write as _},
    thread,
};

use roster_server::{
    app::{self, Running},
    config::{Config, DatabaseUrl},
    telemetry::{self, LevelSwitch},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{args::Color, config_flags::ConfigFlags, error::Failure, output::Style};

/// Run the server
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Settings.
    #[command(flatten)]
    pub flags: ConfigFlags,
}

impl Serve {
    /// Serves until SIGTERM or SIGINT and the end of the drain. A second signal ends it at once. SIGHUP reads the level
    /// of the log anew.
    pub fn run(&self, color: Color) -> Result<(), Failure> {
        let config = self.flags.load()?;
        let log = telemetry::init(&config.log_level, config.log_format)?;
        raise_file_limit();
        keep_memory_small();
        // Before the start, so that no signal is missed.
        let mut signals = Signals::listen()?;
        let running = app::start(config.clone())?;
        // After it: a start that fails says why in one line.
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        announce(&running, &config, Style::for_stderr(color));

        let (stopper, flags, level) = (running.stopper(), self.flags.clone(), log.level());
        // The first signal drains, the second cuts the drain short.
        thread::Builder::new().name("signals".into()).spawn(move || {
            loop {
                match signals.next() {
                    Asked::Stop => stopper.stop(),
                    Asked::Reload => reload_level(&flags, &level),
                }
            }
        })?;
        running.wait()?;
        Ok(())
    }
}

/// Lets the process have as many files open as it may: every connection is one, and shells allow few.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Without this the kernel backs what a thread touches by 2 MiB a piece: 12 MB more at rest.
fn keep_memory_small() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "cannot do without huge pages; more memory will be used");
    }
}

/// Sets the level that file, environment and flags ask for now. What else has changed there waits for the next start.
fn reload_level(flags: &ConfigFlags, level: &LevelSwitch) {
    match flags.load() {
        Ok(config) => {
            level.set(&config.log_level);
            tracing::info!(log_level = config.log_level.as_str(), "the level of the log was read anew");
        }
        Err(error) => tracing::error!(%error, "the configuration cannot be read; the level of the log stays"),
    }
}

/// What a signal asks for.
enum Asked {
    Stop,
    Reload,
}

/// SIGTERM and SIGINT, and SIGHUP. On a terminal that one says that the terminal is gone, and stops the server too.
struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    on_terminal: bool,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (terminate, interrupt, hangup) = {
            let _inside = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
        };
        Ok(Self { runtime, terminate, interrupt, hangup, on_terminal: io::stderr().is_terminal() })
    }

    /// Blocks until one comes.
    fn next(&mut self) -> Asked {
        let Self { runtime, terminate, interrupt, hangup, on_terminal } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => Asked::Stop,
                _ = interrupt.recv() => Asked::Stop,
                _ = hangup.recv() => if *on_terminal { Asked::Stop } else { Asked::Reload },
            }
        })
    }
}

/// Says where the server is: in words on a terminal, as an event in a log.
fn announce(running: &Running, config: &Config, style: Style) {
    let http = running.http_addr().map_or_else(|| "off".to_owned(), |addr| addr.to_string());
    if !io::stderr().is_terminal() {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            grpc_addr = %running.grpc_addr(),
            http_addr = http,
            database = %config.database_url,
            tls = config.tls_certificate.is_some(),
            dev = config.dev,
            "serving"
        );
        return;
    }
    // The terminal may be gone; the server serves all the same.
    let _ = io::stderr().write_all(greeting(&running.grpc_addr().to_string(), &http, config, style).as_bytes());
}

fn greeting(grpc: &str, http: &str, config: &Config, style: Style) -> String {
    let data = match &config.database_url {
        DatabaseUrl::Memory => "in memory, gone at the end".to_owned(),
        DatabaseUrl::Sqlite(path) => format!("in {}", path.display()),
        DatabaseUrl::Postgres(url) => format!("in {url}"),
    };
    let mut text = format!(
        "{} serves gRPC on {}, HTTP on {}{}; data {data}. Ctrl-C stops it.\n",
        style.bold("roster"),
        style.cyan(grpc),
        style.cyan(http),
        if config.tls_certificate.is_some() { ", both by TLS" } else { "" },
    );
    if config.dev {
        text += &format!("{} with --dev every caller is an administrator\n", style.yellow("note:"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_says_where_and_what_dev_means() {
        let dev = greeting("127.0.0.1:1", "off", &Config::defaults(true), Style::PLAIN);
        assert_eq!(
            dev,
            "roster serves gRPC on 127.0.0.1:1, HTTP on off; data in roster.db. Ctrl-C stops it.\n\
             note: with --dev every caller is an administrator\n"
        );
        assert!(!greeting("a", "b", &Config::default(), Style::PLAIN).contains("administrator"));
    }
}
