//! `roster demo`: a server in memory, and a tour of all it can do.
//!
//! Each step of the [`tour`] is a command line. It is printed, and then that very line is parsed and
//! run against the server, so what the tour shows is what a user gets.

mod tour;

use std::{io, time::Duration};

use roster_api::user::v1::{GetUserRequest, HealthCheckRequest, HealthStatus, ListAddressesRequest};
use roster_server::{
    app::{self, Running},
    config::{Config, DatabaseUrl},
};

use self::tour::{Expect, Step};
use super::block_on;
use crate::{
    args::{Cli, Command, Global},
    client::Connection,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
    output::{Output, Style, shell_quoted as quoted, terminal_width},
};

/// What a step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may take to stop at the end.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Starts the server, takes the tour, stops the server.
pub fn run(global: &Global) -> Result<(), Failure> {
    let running = app::start(config())?;
    let result = block_on(guide(&running, Style::for_stdout(global.color)));
    running.shutdown();
    running.wait()?;
    result
}

/// A free port of loopback, and nothing on disk.
fn config() -> Config {
    let mut config = Config::defaults(true);
    config.grpc_addr.set_port(0);
    config.http_addr = None;
    config.database_url = DatabaseUrl::Memory;
    config.drain_grace = DRAIN_GRACE;
    config
}

async fn guide(running: &Running, style: Style) -> Result<(), Failure> {
    let url = format!("http://{}", running.grpc_addr());
    let out = Output::tables_into(Box::new(io::stdout()), style, terminal_width());
    let mut context = Context::new(&url, &Connection::to(&url).connect().await?, out);
    context.timeout = STEP_TIMEOUT;
    context.out.text(&format!("{}\n", style.bold("Roster: a tour")))?;
    context.out.text(&format!(
        "A server runs at {url}, in memory, for as long as the tour takes.\n\
         What follows a {} you can type yourself, in this order, while a `roster serve --dev` of your own runs.",
        style.cyan("$")
    ))?;
    health(&mut context).await?;
    for (number, step) in (2..).zip(tour::STEPS) {
        take(number, step, &mut context).await?;
    }
    context.out.text(&format!(
        "\n{} Start your own: {}",
        style.bold("That was all of it."),
        style.cyan("roster serve --dev")
    ))
}

/// The first step stands apart: its command, `roster doctor`, looks at this machine and not at the tour's server.
async fn health(context: &mut Context) -> Result<(), Failure> {
    heading(context, 1, "Is the server well?", "HealthCheck names each part it depends on.", "roster doctor")?;
    let request = context.request(HealthCheckRequest {});
    let health = context.users.health_check(request).await?.into_inner();
    let status = HealthStatus::try_from(health.status).unwrap_or(HealthStatus::Unspecified);
    if status != HealthStatus::Healthy {
        return Err(surprise(format!("the server says {}", status.as_str_name())));
    }
    let text = format!("Roster {} is {}", health.version, context.out.style.green("healthy"));
    context.out.text(&text)
}

fn heading(context: &mut Context, number: usize, title: &str, why: &str, line: &str) -> Result<(), Failure> {
    let style = context.out.style;
    context.out.text(&format!("\n{}", style.bold(&format!("{number}. {title}"))))?;
    context.out.text(&style.dim(why))?;
    context.out.text(&format!("{} {line}", style.cyan("$")))
}

/// Shows one step, runs it, and checks that it ends as the tour says.
async fn take(number: usize, step: &Step, context: &mut Context) -> Result<(), Failure> {
    let mut args: Vec<String> = step.args.iter().map(|arg| (*arg).to_owned()).collect();
    for arg in &mut args {
        match arg.as_str() {
            tour::ETAG => *arg = current_etag(context).await?,
            tour::ADDRESS => *arg = oldest_address(context).await?,
            _ => {}
        }
    }
    let pipe = if step.input.is_empty() { String::new() } else { format!("echo {} | ", quoted(step.input)) };
    let line = args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" ");
    heading(context, number, step.title, step.why, &format!("{pipe}roster {line}"))?;

    context.input = Box::new(io::Cursor::new(step.input));
    let result = super::call(&command(&args)?, context).await;
    match (result, step.expect) {
        (Ok(()), Expect::Done) => Ok(()),
        (Err(Failure::Error(error)), Expect::Refused(exit)) if error.exit == exit => {
            let style = context.out.style;
            context.out.text(&error.lines(style).join("\n"))?;
            context.out.text(&style.dim(&format!("(exit code {})", exit as u8)))
        }
        (Err(failure), _) => Err(failure),
        (Ok(()), Expect::Refused(_)) => Err(surprise(format!("step {number} was not refused"))),
    }
}

/// The command that `args` are.
fn command(args: &[String]) -> Result<Command, Failure> {
    let line = std::iter::once("roster".to_owned()).chain(args.iter().cloned());
    Cli::parse_from_args(line).map(|cli| cli.command).map_err(|error| surprise(error.to_string()))
}

async fn current_etag(context: &mut Context) -> Result<String, Failure> {
    let request = context.request(GetUserRequest { user_id: tour::WHOSE.into() });
    Ok(context.users.get_user(request).await?.into_inner().etag)
}

async fn oldest_address(context: &mut Context) -> Result<String, Failure> {
    let request = context.request(ListAddressesRequest { user_id: tour::WHOSE.into(), kind: 0 });
    let addresses = context.users.list_addresses(request).await?.into_inner().addresses;
    let oldest = addresses.into_iter().next().map(|address| address.id);
    oldest.ok_or_else(|| surprise(format!("{} has no address", tour::WHOSE)))
}

/// The tour and the program do not agree.
fn surprise(what: String) -> Failure {
    CliError::new(Exit::Internal, format!("the tour went wrong: {what}")).hint("please report this").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_command_that_exists() {
        for step in tour::STEPS {
            let args: Vec<String> = step.args.iter().map(|arg| (*arg).to_owned()).collect();
            assert!(command(&args).is_ok(), "{args:?}");
        }
    }
}
