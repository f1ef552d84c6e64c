//! Goals over PostgreSQL, on a throwaway server of their own that writes to the disk as any other: what Roster leaves of
//! what tokio-postgres reaches by itself in the same tables, and what a second and a third node add.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};

use crate::{
    cluster::Cluster,
    goals::{self, CREATE, GET, Setting, WARM_UP, all_ids, creates, seed},
    import,
    load::{Load, Requests, any_of},
    postgres_limit::{Work, copy, execute, ids},
    process::{CallLog, Server, cpu_time},
    report::{Floor, Row, median, rate},
    users,
};

/// On a disk, which a folder for temporary files may not be; short enough for the name of a socket.
const PARENT: &str = "/var/tmp";
/// Enough for all users of a run to be in memory, and no checkpoint in the middle of a round: both are as usual in service.
const SETTINGS: &str = "shared_buffers = 512MB\nmax_wal_size = 8GB\ncheckpoint_timeout = 30min";
/// Connections that commit: as many as a node has for commands.
const COMMITTERS: usize = 16;
const CONNECTIONS: [(&str, &str); 1] = [("ROSTER_DATABASE_CONNECTIONS", "16")];
/// Calls in flight, as connections and calls on each.
const IN_FLIGHT: (usize, usize) = (4, 64);
/// The same for one, two or three nodes: connections to all of them together, and calls on each.
const IN_FLIGHT_ON_NODES: (usize, usize) = (12, 21);
/// As many as are compared with one.
const NODES: [usize; 2] = [2, 3];

/// A throwaway server.
struct Postgres(Cluster);

impl Postgres {
    fn start() -> anyhow::Result<Self> {
        eprintln!("  starting PostgreSQL");
        Ok(Self(Cluster::start_in(Path::new(PARENT), SETTINGS, None).map_err(|problem| anyhow!(problem))?))
    }

    /// A new database with nothing in it.
    fn database(&self, name: &str) -> anyhow::Result<String> {
        execute(self.0.url.as_str(), &format!("CREATE DATABASE {name}"))?;
        let mut url = self.0.url.clone();
        url.set_path(name);
        Ok(url.to_string())
    }

    /// Processor time that each of its processes has used, by id.
    fn cpu_times(&self) -> anyhow::Result<HashMap<String, Duration>> {
        let guard = self.0.guard.as_ref().context("PostgreSQL is not ours")?;
        let first = fs::read_to_string(guard.folder.join("data/postmaster.pid"))?;
        let first = first.lines().next().context("postmaster.pid is empty")?.to_owned();
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children"))?;
        // One that has ended meanwhile is none any more.
        Ok(children.split_whitespace().filter_map(|id| Some((id.to_owned(), cpu_time(id).ok()?))).collect())
    }

    /// Processor time that those of its processes have used since then that were there then and still are: all that serve
    /// connections that stay.
    fn cpu_since(&self, before: &HashMap<String, Duration>) -> anyhow::Result<Duration> {
        let now = self.cpu_times()?;
        Ok(now.iter().filter_map(|(id, time)| time.checked_sub(*before.get(id)?)).sum())
    }
}

fn node(url: &str) -> anyhow::Result<Server> {
    Server::roster_on(url, CallLog::Off, &CONNECTIONS)
}

/// Goal 17.
pub fn point_reads(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let postgres = Postgres::start()?;
    let url = postgres.database("reads")?;
    let server = node(&url)?;
    let (requests, raw) = seeded(setting, &server, &url)?;
    let (mut own, mut beside) = (Vec::new(), Vec::new());
    let (measured, limit, ratio) = setting.compare(
        || {
            let before = postgres.cpu_times()?;
            let sample = setting.sample(&server, GET, &requests, IN_FLIGHT)?;
            // With those of the warm-up, which take as long as others.
            let calls = sample.rate() * (setting.duration + WARM_UP).as_secs_f64();
            beside.push(postgres.cpu_since(&before)?.as_secs_f64() / calls * 1e6);
            own.push(1e6 / sample.calls_per_cpu());
            Ok(sample.rate())
        },
        || {
            raw.rate(&url, IN_FLIGHT, WARM_UP)?;
            raw.rate(&url, IN_FLIGHT, setting.duration)
        },
    )?;
    let information = |what: &str, microseconds: Vec<f64>| {
        let figure = median(microseconds);
        let measured = format!("{figure:.1} µs");
        Row { goal: 17, what: what.into(), measured, limit: String::new(), figure, floor: Floor::None }
    };
    Ok(vec![
        Row {
            goal: 17,
            what: "GetUser, 256 in flight, against pipelined reads by tokio-postgres".into(),
            measured: rate(measured, "r/s"),
            limit: rate(limit, "r/s"),
            figure: ratio,
            floor: Floor::AtLeast(0.5),
        },
        information("the same, processor time of Roster a call, in µs", own),
        information("the same, processor time of PostgreSQL a call, in µs", beside),
    ])
}

/// Goal 18.
pub fn creates_against_commits(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let postgres = Postgres::start()?;
    let (url, bare) = (postgres.database("creates")?, postgres.database("commits")?);
    // The schema is Roster's own: it is there when the first call is answered.
    import::answer(&node(&bare)?)?;
    let server = node(&url)?;
    let (requests, raw) = (creates(u64::MAX), Work::Create(Arc::new(AtomicU64::new(0))));
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(&server, CREATE, &requests, IN_FLIGHT)?.rate()),
        || {
            raw.rate(&bare, (COMMITTERS, 1), WARM_UP)?;
            raw.rate(&bare, (COMMITTERS, 1), setting.duration)
        },
    )?;
    Ok(vec![Row {
        goal: 18,
        what: "durable CreateUser, 256 in flight, against 16 connections that commit one user and its log row each"
            .into(),
        measured: rate(measured, "users/s"),
        limit: rate(limit, "users/s"),
        figure: ratio,
        floor: Floor::AtLeast(0.8),
    }])
}

/// Goal 19.
pub fn import_against_copy(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let postgres = Postgres::start()?;
    let (url, bare) = (postgres.database("import")?, postgres.database("copy")?);
    import::answer(&node(&bare)?)?;
    let (server, count) = (node(&url)?, setting.import_users);
    let per_second = |elapsed: Duration| count as f64 / elapsed.as_secs_f64();
    let empty = |url: &str| execute(url, "TRUNCATE users, changes, unnumbered, positions CASCADE");
    let (measured, limit, ratio) = setting.compare(
        || {
            let elapsed = import::import(&server, count)?;
            empty(&url)?;
            Ok(per_second(elapsed))
        },
        || {
            let elapsed = copy(&bare, count)?;
            empty(&bare)?;
            Ok(per_second(elapsed))
        },
    )?;
    Ok(vec![Row {
        goal: 19,
        what: format!("ImportUsers, {count} users, against COPY of users and log into the same tables"),
        measured: rate(measured, "users/s"),
        limit: rate(limit, "users/s"),
        figure: ratio,
        floor: Floor::AtLeast(0.4),
    }])
}

/// Goal 20: nothing is asked of it. On one machine nodes, database and load share the processor, so this tells what a
/// node costs the others rather than what one adds on a machine of its own.
pub fn nodes(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let postgres = Postgres::start()?;
    let url = postgres.database("nodes")?;
    let servers = (0..NODES[NODES.len() - 1]).map(|_| node(&url)).collect::<anyhow::Result<Vec<_>>>()?;
    let first = servers.first().context("no nodes")?;
    let (reads, _) = seeded(setting, first, &url)?;
    // Other people than those who are there.
    let numbers = AtomicU64::new(setting.users as u64);
    let writes: Requests = Arc::new(move |_| Some(users::create(numbers.fetch_add(1, Relaxed))));
    let mut rows = Vec::new();
    for (what, unit, path, requests) in [("GetUser", "r/s", GET, &reads), ("CreateUser", "users/s", CREATE, &writes)] {
        for count in NODES {
            let at_once = |nodes: &[Server]| calls_per_second(nodes, path, requests, setting.duration);
            let (measured, one, ratio) = setting.compare(
                || at_once(servers.get(..count).unwrap_or_default()),
                || at_once(std::slice::from_ref(first)),
            )?;
            rows.push(Row {
                goal: 20,
                what: format!("{what}, 252 in flight, {count} nodes against one"),
                measured: rate(measured, unit),
                limit: rate(one, unit),
                figure: ratio,
                floor: Floor::None,
            });
        }
    }
    Ok(rows)
}

/// The same load, dealt out to the nodes.
fn calls_per_second(
    nodes: &[Server],
    path: &'static str,
    requests: &Requests,
    duration: Duration,
) -> anyhow::Result<f64> {
    let (connections, streams) = (IN_FLIGHT_ON_NODES.0 / nodes.len().max(1), IN_FLIGHT_ON_NODES.1);
    let run = |duration| {
        let loads = nodes.iter().map(|node| {
            let load = Load { addr: node.addr, path, requests: Arc::clone(requests), connections, streams, duration };
            thread::spawn(move || goals::without_errors(load.run()?))
        });
        // All are begun before the first is waited for.
        let loads: Vec<_> = loads.collect();
        let tallies = loads.into_iter().map(|load| {
            let tally = load.join().map_err(|_| anyhow!("a load panicked"))??;
            Ok(tally.calls as f64 / tally.elapsed.as_secs_f64())
        });
        tallies.sum::<anyhow::Result<f64>>()
    };
    run(WARM_UP)?;
    run(duration)
}

/// Users, calls that read one of them, and reads of one of them without Roster.
fn seeded(setting: &Setting, server: &Server, url: &str) -> anyhow::Result<(Requests, Work)> {
    seed(server, setting.users)?;
    execute(url, "VACUUM ANALYZE")?;
    let requests = any_of(all_ids(server)?.iter().map(|id| users::get(id)).collect());
    Ok((requests, Work::Read(ids(url)?)))
}
