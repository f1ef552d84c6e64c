//! Measures the performance goals: each as a ratio against what the machine gives, taken in the same run, in turn.
//!
//! `cargo bench --bench goals` measures all of them; `-- --goal 1 --goal 5` some, `-- --quick` with less patience.
//! The load comes from the same machine and takes processor time from the server, so what counts is requests per
//! second of the *server's* processor time; a throughput says as much about the client.

#[path = "../../../server/tests/it/postgres/cluster.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod cluster;
mod goals;
mod hash_limit;
mod import;
mod load;
mod open_loop;
mod overload;
mod postgres;
mod postgres_limit;
mod presence;
mod process;
mod raw_tonic;
mod report;
mod sign_in;
mod sqlite_limit;
mod users;

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

// What the server uses, so that the limit is measured with the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Roster's performance goals.
#[derive(Parser)]
struct Args {
    /// Fewer and shorter rounds on smaller stores: to see that it works, not to publish.
    #[arg(long)]
    quick: bool,
    /// Only this goal; may be given more than once. 0 compares runtimes without Roster.
    #[arg(long = "goal")]
    goals: Vec<u32>,
    /// Rounds of each measurement; the median is printed. [default: 5, or 3 with --quick]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that each load lasts. [default: 5, or 1 with --quick]
    #[arg(long)]
    seconds: Option<f64>,
    /// Users in the store, but for goal 13. [default: 100000, or 10000 with --quick]
    #[arg(long)]
    users: Option<usize>,
    /// Users in the store of goal 13, clients online in goal 14. [default: 1000000, or 50000 with --quick]
    #[arg(long)]
    search_users: Option<usize>,
    /// Users that goal 10 imports. [default: 200000 for each second that a load lasts, 1000000 at most]
    #[arg(long)]
    import_users: Option<usize>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the limit; the benchmark starts itself with this.
    #[command(hide = true)]
    RawTonic { mode: raw_tonic::Mode, addr: SocketAddr },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(Command::RawTonic { mode, addr }) = args.command {
        return raw_tonic::serve(mode, addr);
    }
    let seconds = args.seconds.unwrap_or(if args.quick { 1.0 } else { 5.0 });
    let setting = goals::Setting {
        rounds: args.rounds.unwrap_or(if args.quick { 3 } else { 5 }).max(1),
        duration: Duration::try_from_secs_f64(seconds).context("--seconds")?,
        users: args.users.unwrap_or(if args.quick { 10_000 } else { 100_000 }),
        search_users: args.search_users.unwrap_or(if args.quick { 50_000 } else { 1_000_000 }),
        import_users: args.import_users.unwrap_or(((seconds * 200_000.0) as usize).clamp(10_000, 1_000_000)),
        // On the disk that holds the build, because a file system in memory would make every commit free.
        folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
    };
    let mut rows = Vec::new();
    for (number, measure) in goals::ALL {
        if args.goals.is_empty() || args.goals.contains(number) {
            eprintln!("goal {number} …");
            rows.extend(measure(&setting).with_context(|| format!("goal {number}"))?);
        }
    }
    println!("{}", report::table(&rows));
    println!("Median of {} rounds of {seconds} s, the server and its limit in turn.", setting.rounds);
    Ok(())
}
