//! `roster doctor`: looks at everything that can keep a server from running, changes nothing, and says what to do.

mod check;
mod database;
mod mail;
mod network;
mod postgres;
mod redis;
mod system;
mod tls;
mod traces;

use roster_server::config::{Config, DatabaseUrl};

use self::check::{Check, State};
use crate::{
    args::{Format, Global},
    config_flags::ConfigFlags,
    error::{CliError, Failure},
    exit::Exit,
    output::{Cell, Output, grid},
};

/// Check configuration, database, ports and limits, and say what to do
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Settings, as `roster serve` would take them.
    #[command(flatten)]
    flags: ConfigFlags,
}

impl Doctor {
    /// Prints a table of what was found. The first failure decides the exit code.
    pub async fn run(&self, global: &Global) -> Result<(), Failure> {
        let (config, mut checks) = self.configuration();
        let (ports, roster_runs) = network::ports(&config, &global.connection).await;
        match &config.database_url {
            DatabaseUrl::Postgres(url) => checks.extend(postgres::database(url).await),
            url => checks.extend(database::checks(url, roster_runs)),
        }
        checks.extend(ports);
        checks.extend(tls::checks(&config));
        checks.push(redis::server(&config).await);
        checks.push(mail::server(&config).await);
        checks.push(traces::collector(&config).await);
        checks.push(network::server(&global.connection).await);
        checks.push(system::open_files(config.max_connections));
        checks.push(system::clock(config.database_url.path()));
        print(&checks, &mut Output::stdout(global))?;
        let failed = checks.iter().find_map(|check| match check.state {
            State::Fail(exit) => Some(exit),
            State::Ok | State::Warn => None,
        });
        failed.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
    }

    /// The configuration; where it is wrong the other checks go on with the defaults.
    fn configuration(&self) -> (Config, Vec<Check>) {
        const NAME: &str = "configuration";
        match self.flags.load() {
            Ok(config) => {
                let file = self.flags.file_name().unwrap_or_else(|| "no file, only environment and flags".into());
                let mut checks = vec![Check::ok(NAME, format!("valid ({file})"))];
                checks.extend(config.warnings.iter().map(|warning| Check::warn(NAME, warning, "unset it")));
                (config, checks)
            }
            Err(error) => {
                let advice = "mend it; docs/configuration.md has every setting";
                let check = Check::fail(Exit::Config, NAME, error.to_string(), advice);
                (Config::default(), vec![check])
            }
        }
    }
}

fn print(checks: &[Check], out: &mut Output) -> Result<(), Failure> {
    match out.format {
        Format::Table => {
            let rows = checks.iter().map(|check| {
                let state = match check.state {
                    State::Ok => Cell::Good("ok".into()),
                    State::Warn => Cell::Warning("warn".into()),
                    State::Fail(_) => Cell::Bad("FAIL".into()),
                };
                vec![
                    state,
                    Cell::Plain(check.name.into()),
                    Cell::Plain(check.found.clone()),
                    Cell::Plain(check.advice.clone()),
                ]
            });
            let table = grid(&["", "CHECK", "FOUND", "WHAT TO DO"], rows.collect(), out.style, out.width);
            out.text(&table)?;
        }
        Format::Json => {
            for check in checks {
                out.text(&check.json().to_string())?;
            }
        }
    }
    out.flush()
}

/// What a check says of an I/O error.
fn io_failure(name: &'static str, what: &str, error: &std::io::Error, advice: &str) -> Check {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::CannotCreate,
        _ => Exit::Io,
    };
    Check::fail(exit, name, CliError::new(exit, format!("{what}: {error}")).message, advice)
}
