//! `roster bench`: puts load on a running server and tells how it answers, so that people can size their machines.
//!
//! `work.rs` is what is called, `load.rs` how often and by how many, `tally.rs` what came of it, `report.rs` how that is
//! shown, `people.rs` the users that are made for it and deleted after it, `caller.rs` who calls.

mod caller;
mod load;
mod people;
mod report;
mod tally;
mod work;

use std::{
    fs,
    io::{Write as _, stderr},
    num::NonZero,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use roster_api::user::v1::GetUserRequest;
use tokio::signal::unix::{SignalKind, signal};
use tonic::Code;

use self::{
    load::{Load, Pace, Running},
    people::{Names, People},
    tally::Tally,
    work::Work,
};
use super::progress::Progress;
use crate::{
    args::Global,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
    output::Output,
};

/// How often the progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// How often it is seen whether the token is about to end; it is renewed in its last half minute.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// Put load on a server and measure how it answers
///
/// Without --rate each of --concurrency callers waits for its answer before it calls again: that measures how much the
/// server does. With --rate calls begin when they are due, whatever the server does, and the time of a call counts from
/// when it was due: that measures how long people wait. Users are made for it where there is need, and deleted after it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster bench reads --concurrency 256
  roster bench mixed --rate 2000 --duration 60 --output json

If calls failed it says how many after the figures, and ends with the exit code of the first that did.
What it makes has ids that begin with bench-. A server that is not for development is written to with --yes alone, and
its rate limits count: see docs/benchmark.md.")]
pub struct Bench {
    /// What to call
    #[arg(value_name = "WORKLOAD")]
    workload: Workload,
    /// Seconds that are measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    duration: f64,
    /// Seconds before that, which are not counted
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
    /// Connections to the server
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// Callers at once; with --rate, calls that may be under way at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    /// Calls a second that begin, whether or not those before have been answered
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Users that calls are about
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,
    /// Write to a server that is not for development
    #[arg(long)]
    yes: bool,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// GetUser, of users that are there
    Reads,
    /// CreateUser, without a password
    Writes,
    /// 80 GetUser, 10 SearchUsers, 10 UpdateUser of a hundred calls
    Mixed,
    /// ListUsers, pages of 1,000
    Streams,
}

/// Callers at once where the flag says nothing: to be answered one after the other, and to be waited for at a rate.
const CONCURRENCY_CLOSED: u32 = 64;
const CONCURRENCY_OPEN: u32 = 10_000;

/// Up to ten minutes.
fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=600.0).contains(number));
    number.ok_or_else(|| "seconds are a number from 0 to 600".into())
}

impl Bench {
    /// Measures, cleans up, tells.
    pub async fn run(&self, global: &Global) -> Result<(), Failure> {
        if self.duration <= 0.0 {
            return Err(CliError::new(Exit::Usage, "--duration is 0, and nothing is measured in no time").into());
        }
        let mut context = Context::connect(global).await?;
        context.identify().await?;
        let mut people = People::new(&context);
        if self.writes(&mut people, &mut context).await? && !self.yes && !is_for_development(global, &context).await? {
            let message = format!("{} is not a server for development, and this writes to it", context.server);
            return Err(CliError::new(Exit::Usage, message).hint("say --yes if that is meant").into());
        }
        let measured = self.measure(global, &mut context, &mut people).await;
        // What was made is deleted, whatever became of the rest.
        let cleaned = people.delete(&mut context, &mut Progress::start()).await;
        let tally = measured?;
        let printed = report::print(&tally, self, &mut Output::stdout(global));
        cleaned?;
        printed?;
        Ok(tally.check()?)
    }

    /// Whether users have to be made, or are there to be read.
    async fn writes(&self, people: &mut People, context: &mut Context) -> Result<bool, Failure> {
        match self.workload {
            Workload::Writes | Workload::Mixed => Ok(true),
            Workload::Reads | Workload::Streams => {
                people.find(context, self.users as usize).await?;
                Ok(people.ids.is_empty())
            }
        }
    }

    async fn measure(&self, global: &Global, context: &mut Context, people: &mut People) -> Result<Tally, Failure> {
        let stop = stop_on_signal(Arc::clone(&people.names))?;
        if people.ids.is_empty() && self.workload != Workload::Writes {
            people.make(self.users as usize, context, &stop, &mut Progress::start()).await?;
        }
        let running = self.begin(global, people, &stop)?;
        let tally = self.watch(running, context, people).await?;
        if stop.load(Relaxed) {
            let error = CliError::new(Exit::TryAgain, "the measurement was cut short");
            return Err(error.hint("nothing is told of it, and what it made is deleted").into());
        }
        Ok(tally)
    }

    fn begin(&self, global: &Global, people: &People, stop: &Arc<AtomicBool>) -> Result<Running, Failure> {
        let work = Work {
            workload: self.workload,
            ids: people.ids.clone(),
            names: people.names.clone(),
            caller: Arc::clone(&people.caller),
        };
        let default = if self.rate.is_some() { CONCURRENCY_OPEN } else { CONCURRENCY_CLOSED };
        let load = Load {
            connection: global.connection.clone(),
            connections: self.connections.into(),
            concurrency: self.concurrency.unwrap_or(default) as usize,
            pace: self.rate.map_or(Pace::Closed, Pace::Open),
            warm_up: Duration::from_secs_f64(self.warm_up),
            duration: Duration::from_secs_f64(self.duration),
            threads: thread::available_parallelism().map_or(1, NonZero::get),
        };
        Ok(load.start(Arc::new(work), Arc::clone(stop))?)
    }

    /// Shows how far it is until it is over, and keeps the token good.
    async fn watch(&self, running: Running, context: &mut Context, people: &People) -> Result<Tally, Failure> {
        let mut progress = Progress::start();
        let mut renewed = Instant::now();
        let whole = self.warm_up + self.duration;
        while !running.is_over() {
            tokio::time::sleep(PROGRESS_EVERY.min(Duration::from_secs_f64(whole))).await;
            let part = progress.elapsed().as_secs_f64() / whole;
            progress.show(running.ended(), "calls", Some(part));
            if renewed.elapsed() >= RENEW_EVERY {
                people.caller.renew(context).await;
                renewed = Instant::now();
            }
        }
        progress.clear();
        running.join()
    }
}

/// Raised by Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed. What is under way ends, and what was made is still
/// deleted; a second one ends that too, and says what may be left.
fn stop_on_signal(names: Arc<Names>) -> Result<Arc<AtomicBool>, Failure> {
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // To catch it is to end by it, which `nohup` does not want.
    let mut hung_up = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    tokio::spawn(async move {
        loop {
            let hang_up = async {
                match &mut hung_up {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
                _ = hang_up => {}
            }
            if raised.swap(true, Relaxed) {
                // A terminal that is gone reads nothing.
                let _ =
                    writeln!(stderr(), "\nerror: users that were made may be left\nhint: {}", names.how_to_delete());
                process::exit(Exit::TryAgain as i32);
            }
        }
    });
    Ok(stop)
}

/// Whether whoever started the process had it ignore SIGHUP.
fn ignores_hangup() -> bool {
    let ignored = |status: String| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?.trim();
        u64::from_str_radix(mask, 16).ok().map(|mask| mask & 1 != 0)
    };
    fs::read_to_string("/proc/self/status").ok().and_then(ignored).unwrap_or(false)
}

/// Whether whoever comes without a token and without a certificate is an administrator there, by a network: so is nobody
/// but with `--dev`.
async fn is_for_development(global: &Global, context: &Context) -> Result<bool, Failure> {
    let connection = &global.connection;
    let shows_nothing = connection.client_cert.as_ref().is_none_or(|path| path.as_os_str().is_empty());
    if connection.server.starts_with("unix:") || !shows_nothing {
        return Ok(false);
    }
    let mut request = tonic::Request::new(GetUserRequest { user_id: "nobody".into() });
    request.set_timeout(context.timeout);
    match context.users.clone().get_user(request).await {
        Ok(_) => Ok(true),
        Err(status) => match status.code() {
            Code::NotFound => Ok(true),
            Code::Unauthenticated | Code::PermissionDenied => Ok(false),
            _ => Err(status.into()),
        },
    }
}
