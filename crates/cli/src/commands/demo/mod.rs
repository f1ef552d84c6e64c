//! `roster demo`: a server in memory, and a tour of all it can do.
//!
//! Each step of the [`tour`] is a command line. It is printed, and then that very line is parsed and
//! run against the server, so what the tour shows is what a user gets.

mod job;
mod tour;

use std::{io, time::Duration};

use roster_api::user::v1::{HealthCheckRequest, HealthStatus};
use roster_server::{
    app::{self, Running},
    config::{Config, DatabaseUrl},
};
use tokio::task::LocalSet;

use self::{
    job::Job,
    tour::{Expect, Step},
};
use super::{block_on, health};
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
    let tour = guide(&running, Style::for_stdout(global.color));
    let result = block_on(LocalSet::new().run_until(tour));
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
    check_health(&mut context).await?;
    let mut job = None;
    for (number, step) in (2..).zip(tour::STEPS) {
        take(number, step, &mut job, &mut context).await?;
    }
    context.out.text(&format!(
        "\n{} Start your own: {}",
        style.bold("That was all of it."),
        style.cyan("roster serve --dev")
    ))
}

/// The first step stands apart: what it asks is no command of the tour's.
async fn check_health(context: &mut Context) -> Result<(), Failure> {
    heading(context, 1, "Is the server well?", "HealthCheck names each part it depends on.", "roster health")?;
    let request = context.request(HealthCheckRequest {});
    let answer = context.users.health_check(request).await?.into_inner();
    let status = HealthStatus::try_from(answer.status).unwrap_or(HealthStatus::Unspecified);
    if status != HealthStatus::Healthy {
        return Err(surprise(format!("the server says {}", status.as_str_name())));
    }
    let text = health::told(&answer, &context.server);
    context.out.text(&text)
}

fn heading(context: &mut Context, number: usize, title: &str, why: &str, line: &str) -> Result<(), Failure> {
    let style = context.out.style;
    context.out.text(&format!("\n{}", style.bold(&format!("{number}. {title}"))))?;
    context.out.text(&style.dim(why))?;
    context.out.text(&format!("{} {line}", style.cyan("$")))
}

/// Shows one step, runs it, and checks that it ends as the tour says. What goes on beside it has its say after it.
async fn take(number: usize, step: &Step, job: &mut Option<Job>, context: &mut Context) -> Result<(), Failure> {
    heading(context, number, step.title, step.why, &line(step))?;
    let mut said = String::new();
    match step.expect {
        Expect::GoesOn => *job = Some(Job::start(command(step.args)?, context)),
        Expect::Ends => {
            let job = job.take().ok_or_else(|| surprise(format!("nothing goes on at step {number}")))?;
            said = in_time(number, job.end()).await??;
        }
        Expect::Done | Expect::Refused(_) => run_step(number, step, context).await?,
    }
    if let Some(job) = job {
        said = in_time(number, job.lines(step.told)).await?;
    }
    if said.lines().count() != step.told {
        return Err(surprise(format!("at step {number}, what goes on said: {said:?}")));
    }
    if said.is_empty() { Ok(()) } else { context.out.text(&said) }
}

/// The line to type.
fn line(step: &Step) -> String {
    let words = step.args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" ");
    match step.expect {
        Expect::Ends => "kill $!".to_owned(),
        Expect::GoesOn => format!("roster {words} &"),
        Expect::Done | Expect::Refused(_) if step.input.is_empty() => format!("roster {words}"),
        Expect::Done | Expect::Refused(_) => format!("echo {} | roster {words}", quoted(step.input)),
    }
}

async fn run_step(number: usize, step: &Step, context: &mut Context) -> Result<(), Failure> {
    context.input = Box::new(io::Cursor::new(step.input));
    let result = super::call(&command(step.args)?, context).await;
    match (result, step.expect) {
        (Err(Failure::Error(error)), Expect::Refused(exit)) if error.exit == exit => {
            let style = context.out.style;
            context.out.text(&error.lines(style).join("\n"))?;
            context.out.text(&style.dim(&format!("(exit code {})", exit as u8)))
        }
        (Ok(()), Expect::Refused(_)) => Err(surprise(format!("step {number} was not refused"))),
        (result, _) => result,
    }
}

async fn in_time<T>(number: usize, waiting: impl Future<Output = T>) -> Result<T, Failure> {
    let late = |_| surprise(format!("step {number} takes too long"));
    tokio::time::timeout(STEP_TIMEOUT, waiting).await.map_err(late)
}

/// The command that `args` are.
fn command(args: &[&str]) -> Result<Command, Failure> {
    let line = std::iter::once("roster").chain(args.iter().copied());
    Cli::parse_from_args(line).map(|cli| cli.command).map_err(|error| surprise(error.to_string()))
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
        for step in tour::STEPS.iter().filter(|step| step.expect != Expect::Ends) {
            assert!(command(step.args).is_ok(), "{:?}", step.args);
        }
    }
}
