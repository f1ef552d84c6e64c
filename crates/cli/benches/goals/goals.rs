//! The goals, a function each. Numbers are those of the table in `docs/performance.md`.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use roster_api::{
    Client,
    user::v1::{HealthCheckRequest, ListUsersRequest},
};
use tempfile::TempDir;

use crate::{
    import,
    load::{Load, Requests, Tally, any_of},
    overload, postgres, presence,
    process::{CallLog, Server},
    raw_tonic::Mode,
    report::{Floor, Row, median, rate, time},
    sign_in,
    sqlite_limit::{Limit, Scan},
    users::{self, Random},
};

pub const GET: &str = "/user.v1.UserService/GetUser";
pub const CREATE: &str = "/user.v1.UserService/CreateUser";
const LIST: &str = "/user.v1.UserService/ListUsers";
const EXPORT: &str = "/user.v1.UserService/ExportUsers";
pub const SEARCH: &str = "/user.v1.UserService/SearchUsers";

/// Each load runs this long before it counts, to fill caches and grow buffers.
pub const WARM_UP: Duration = Duration::from_millis(500);
/// Users are created with this many calls in flight before a measurement.
const SEED_STREAMS: usize = 256;
/// Creating the users takes no longer; a slow disk may.
const SEED_TIMEOUT: Duration = Duration::from_secs(3_600);
/// After the first answer, this long until the memory counts as at rest.
const REST: Duration = Duration::from_secs(1);
const MEGABYTE: f64 = 1e6;

/// How patiently to measure, and where.
pub struct Setting {
    pub rounds: usize,
    pub duration: Duration,
    pub users: usize,
    pub search_users: usize,
    pub import_users: usize,
    pub folder: TempDir,
}

type Goal = fn(&Setting) -> anyhow::Result<Vec<Row>>;

/// Every goal that can be measured here, by its number.
pub const ALL: &[(u32, Goal)] = &[
    (0, runtimes),
    (1, cached_get),
    (2, uncached_get),
    (4, get_latency),
    (5, create_throughput),
    (7, lone_create),
    (8, create_latency),
    (9, list),
    (9, export),
    (10, import::throughput),
    (11, sign_in::throughput),
    (12, sign_in::storm),
    (13, search),
    (14, presence::online),
    (15, rest),
    (16, overload::shedding),
    (17, postgres::point_reads),
    (18, postgres::creates_against_commits),
    (19, postgres::import_against_copy),
    (20, postgres::nodes),
];

/// One load on one server, with the server's processor time.
pub struct Sample {
    tally: Tally,
    cpu: Duration,
}

impl Sample {
    /// Calls a second.
    pub fn rate(&self) -> f64 {
        self.tally.calls as f64 / self.tally.elapsed.as_secs_f64()
    }

    /// Calls per second of the server's processor time.
    pub fn calls_per_cpu(&self) -> f64 {
        self.tally.calls as f64 / self.cpu.as_secs_f64()
    }

    /// Messages per second of the server's processor time.
    fn messages_per_cpu(&self) -> f64 {
        self.tally.messages as f64 / self.cpu.as_secs_f64()
    }

    /// Seconds that a call took in the mean.
    pub fn mean_latency(&self) -> f64 {
        self.tally.latency.mean() / 1e9
    }

    /// Seconds within which this share of the calls ended.
    pub fn latency(&self, quantile: f64) -> f64 {
        self.tally.latency.value_at_quantile(quantile) as f64 / 1e9
    }
}

impl Setting {
    pub fn database(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `connections` × `streams` calls in flight, after a warm-up.
    pub fn sample(
        &self,
        server: &Server,
        path: &'static str,
        requests: &Requests,
        (connections, streams): (usize, usize),
    ) -> anyhow::Result<Sample> {
        let load =
            |duration| Load { addr: server.addr, path, requests: Arc::clone(requests), connections, streams, duration };
        without_errors(load(WARM_UP).run()?)?;
        let before = server.cpu_time()?;
        let tally = without_errors(load(self.duration).run()?)?;
        Ok(Sample { tally, cpu: server.cpu_time()? - before })
    }

    /// Measures both in turn, once a round: the medians of each, and of the first divided by the second.
    pub fn compare(
        &self,
        mut measured: impl FnMut() -> anyhow::Result<f64>,
        mut limit: impl FnMut() -> anyhow::Result<f64>,
    ) -> anyhow::Result<(f64, f64, f64)> {
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            let limit = limit()?;
            rounds.push((measured()?, limit));
        }
        Ok((
            median(rounds.iter().map(|round| round.0).collect()),
            median(rounds.iter().map(|round| round.1).collect()),
            median(rounds.iter().map(|round| round.0 / round.1).collect()),
        ))
    }

    /// The median of a figure over the rounds.
    fn repeat(&self, mut measured: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
        Ok(median((0..self.rounds).map(|_| measured()).collect::<anyhow::Result<_>>()?))
    }
}

pub fn without_errors(mut tally: Tally) -> anyhow::Result<Tally> {
    let errors = tally.errors;
    if let Some(error) = tally.first_error.take() {
        return Err(error.context(format!("{errors} calls failed, one of them so")));
    }
    ensure!(tally.calls > 0, "no call ended in time");
    Ok(tally)
}

/// `CreateUser` calls that never repeat a person, until `limit` of them.
pub fn creates(limit: u64) -> Requests {
    let next = AtomicU64::new(0);
    Arc::new(move |_| {
        let number = next.fetch_add(1, Relaxed);
        (number < limit).then(|| users::create(number))
    })
}

/// Fills the store through `CreateUser`.
pub fn seed(server: &Server, users: usize) -> anyhow::Result<()> {
    eprintln!("  creating {users} users");
    let tally = Load {
        addr: server.addr,
        path: CREATE,
        requests: creates(users as u64),
        connections: 4,
        streams: SEED_STREAMS / 4,
        duration: SEED_TIMEOUT,
    }
    .run()?;
    let seconds = tally.elapsed.as_secs_f64();
    let tally = without_errors(tally)?;
    eprintln!("  {} in {}", rate(tally.calls as f64 / seconds, "users/s"), time(seconds));
    Ok(())
}

fn client_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The ids of every user, page by page.
pub fn all_ids(server: &Server) -> anyhow::Result<Vec<String>> {
    client_runtime()?.block_on(async {
        let mut client = Client::connect(&server.addr.to_string()).await?.users();
        let mut ids: Vec<String> = Vec::new();
        loop {
            let page_token = ids.last().cloned().unwrap_or_default();
            let request = ListUsersRequest { page_size: 1_000, page_token, ..Default::default() };
            let mut page = client.list_users(request).await?.into_inner();
            let before = ids.len();
            while let Some(user) = page.message().await? {
                ids.push(user.id);
            }
            if ids.len() == before {
                return Ok(ids);
            }
        }
    })
}

/// A seeded Roster, and requests about users that it has.
pub fn seeded(
    setting: &Setting,
    name: &str,
    environment: &[(&str, &str)],
    request: fn(&str) -> bytes::Bytes,
) -> anyhow::Result<(Server, Requests)> {
    let server = Server::roster(&setting.database(name), CallLog::Off, environment)?;
    seed(&server, setting.users)?;
    let ids = all_ids(&server)?;
    ensure!(ids.len() == setting.users, "{} users were created and {} are listed", setting.users, ids.len());
    Ok((server, any_of(ids.iter().map(|id| request(id)).collect())))
}

fn any_get() -> Requests {
    any_of(vec![users::get("01980000-0000-7000-8000-000000000000")])
}

/// For information: what the runtime and the router cost, without Roster.
fn runtimes(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let routes = Server::raw_tonic(Mode::Routes)?;
    let mut rows = Vec::new();
    for (mode, what) in [
        (Mode::Stock, "tonic's own server, against tonic's router on a runtime per thread"),
        (Mode::Stub, "the generated stub without the router, against the same"),
    ] {
        let other = Server::raw_tonic(mode)?;
        let figure = |server| Ok(setting.sample(server, GET, &any_get(), (4, 64))?.calls_per_cpu());
        let (measured, limit, ratio) = setting.compare(|| figure(&other), || figure(&routes))?;
        rows.push(Row {
            goal: 0,
            what: what.into(),
            measured: rate(measured, "r/CPU-s"),
            limit: rate(limit, "r/CPU-s"),
            figure: ratio,
            floor: Floor::None,
        });
    }
    Ok(rows)
}

/// `GetUser`, calls per second of processor time against raw tonic.
fn get_against_tonic(
    setting: &Setting,
    (goal, what, floor): (u32, &str, Floor),
    roster: &Server,
    requests: &Requests,
) -> anyhow::Result<Row> {
    let tonic = Server::raw_tonic(Mode::Routes)?;
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(roster, GET, requests, (4, 64))?.calls_per_cpu()),
        || Ok(setting.sample(&tonic, GET, &any_get(), (4, 64))?.calls_per_cpu()),
    )?;
    Ok(Row {
        goal,
        what: what.into(),
        measured: rate(measured, "r/CPU-s"),
        limit: rate(limit, "r/CPU-s"),
        figure: ratio,
        floor,
    })
}

fn cached_get(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let (silent, requests) = seeded(setting, "cached.db", &[], users::get)?;
    let off = (1, "GetUser from the cache, call log off, against raw tonic", Floor::AtLeast(0.75));
    let first = get_against_tonic(setting, off, &silent, &requests)?;
    drop(silent);
    let talking = Server::roster(&setting.database("cached.db"), CallLog::On, &[])?;
    let on = (1, "the same, call log on", Floor::AtLeast(0.70));
    Ok(vec![first, get_against_tonic(setting, on, &talking, &requests)?])
}

fn uncached_get(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let (server, requests) = seeded(setting, "uncached.db", &[("ROSTER_CACHE_BYTES", "0")], users::get)?;
    let goal = (2, "GetUser straight from SQLite, against raw tonic", Floor::AtLeast(0.40));
    let mut raw = Limit::create(&setting.database("reads.db"))?;
    raw.fill(setting.users)?;
    let read = raw.point_reads(setting.duration)?.mean() / 1e9;
    let row = get_against_tonic(setting, goal, &server, &requests)?;
    let limit = format!("{} (read {:.1} µs)", row.limit, read * 1e6);
    Ok(vec![Row { limit, ..row }])
}

fn get_latency(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let (roster, requests) = seeded(setting, "latency.db", &[], users::get)?;
    let tonic = Server::raw_tonic(Mode::Routes)?;
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(&roster, GET, &requests, (1, 16))?.latency(0.99)),
        || Ok(setting.sample(&tonic, GET, &any_get(), (1, 16))?.latency(0.99)),
    )?;
    Ok(vec![Row {
        goal: 4,
        what: "GetUser p99 at 1 × 16 streams, against raw tonic".into(),
        measured: time(measured),
        limit: time(limit),
        figure: ratio,
        floor: Floor::AtMost(2.0),
    }])
}

fn create_throughput(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let roster = Server::roster(&setting.database("creates.db"), CallLog::Off, &[])?;
    let mut raw = Limit::create(&setting.database("creates-limit.db"))?;
    let requests = creates(u64::MAX);
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(&roster, CREATE, &requests, (4, 64))?.rate()),
        || Ok(raw.commits(setting.duration)?.len() as f64 / setting.duration.as_secs_f64()),
    )?;
    Ok(vec![Row {
        goal: 5,
        what: "durable CreateUser, 256 in flight, against one commit per insert".into(),
        measured: rate(measured, "users/s"),
        limit: rate(limit, "users/s"),
        figure: ratio,
        floor: Floor::AtLeast(5.0),
    }])
}

fn lone_create(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let roster = Server::roster(&setting.database("lone.db"), CallLog::Off, &[])?;
    let mut raw = Limit::create(&setting.database("lone-limit.db"))?;
    let requests = creates(u64::MAX);
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(&roster, CREATE, &requests, (1, 1))?.latency(0.5)),
        || Ok(raw.commits(setting.duration)?.value_at_quantile(0.5) as f64 / 1e9),
    )?;
    Ok(vec![Row {
        goal: 7,
        what: "a lone CreateUser, p50, against a raw commit's".into(),
        measured: time(measured),
        limit: time(limit),
        figure: ratio,
        floor: Floor::AtMost(2.0),
    }])
}

fn create_latency(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let roster = Server::roster(&setting.database("create-latency.db"), CallLog::Off, &[])?;
    let requests = creates(u64::MAX);
    let p99 = setting.repeat(|| Ok(setting.sample(&roster, CREATE, &requests, (4, 16))?.latency(0.99)))?;
    Ok(vec![Row {
        goal: 8,
        what: "CreateUser p99 at 64 in flight, in ms".into(),
        measured: time(p99),
        limit: String::new(),
        figure: p99 * 1e3,
        floor: Floor::AtMost(12.0),
    }])
}

fn list(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let (roster, requests) = seeded(setting, "list.db", &[], users::list_after)?;
    let tonic = Server::raw_tonic(Mode::Routes)?;
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(&roster, LIST, &requests, (4, 2))?.messages_per_cpu()),
        || Ok(setting.sample(&tonic, LIST, &any_of(vec![users::list_after("")]), (4, 2))?.messages_per_cpu()),
    )?;
    Ok(vec![Row {
        goal: 9,
        what: "ListUsers, pages of 1,000, against raw tonic streaming".into(),
        measured: rate(measured, "users/CPU-s"),
        limit: rate(limit, "users/CPU-s"),
        figure: ratio,
        floor: Floor::AtLeast(0.4),
    }])
}

fn export(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let roster = Server::roster(&setting.database("export.db"), CallLog::Off, &[])?;
    seed(&roster, setting.users)?;
    let tonic = Server::raw_tonic(Mode::Routes)?;
    let (all, as_many) = (any_of(vec![users::export()]), any_of(vec![users::list(setting.users)]));
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(&roster, EXPORT, &all, (2, 1))?.messages_per_cpu()),
        || Ok(setting.sample(&tonic, LIST, &as_many, (2, 1))?.messages_per_cpu()),
    )?;
    Ok(vec![Row {
        goal: 9,
        what: format!("ExportUsers, {} users, against raw tonic streaming", setting.users),
        measured: rate(measured, "users/CPU-s"),
        limit: rate(limit, "users/CPU-s"),
        figure: ratio,
        floor: Floor::AtLeast(0.4),
    }])
}

fn search(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let roster = Server::roster(&setting.database("search.db"), CallLog::Off, &[])?;
    seed(&roster, setting.search_users)?;
    let mut raw = Limit::create(&setting.database("search-limit.db"))?;
    raw.fill(setting.search_users)?;
    let requests: Requests = Arc::new(|random: &mut Random| Some(users::search(&users::fragment(random))));

    let mut slowest = Vec::new();
    let mut against = |scan: Scan, what: &str, floor: Floor| {
        let (limit, measured, times) = setting.compare(
            || Ok(raw.scans(scan, setting.duration)?.value_at_quantile(0.5) as f64 / 1e9),
            || {
                let sample = setting.sample(&roster, SEARCH, &requests, (1, 1))?;
                slowest.push(sample.latency(0.99));
                Ok(sample.latency(0.5))
            },
        )?;
        let what = format!("7 letters among {} users, times faster than a LIKE scan {what}", setting.search_users);
        anyhow::Ok(Row { goal: 13, what, measured: time(measured), limit: time(limit), figure: times, floor })
    };
    let mut rows = vec![
        against(Scan::Names, "that counts names", Floor::AtLeast(50.0))?,
        against(Scan::Page, "of names and emails for a page and the total", Floor::None)?,
    ];
    let p99 = median(slowest);
    rows.push(Row {
        goal: 13,
        what: "the same, p99 in ms".into(),
        measured: time(p99),
        limit: String::new(),
        figure: p99 * 1e3,
        floor: Floor::AtMost(5.0),
    });
    Ok(rows)
}

fn rest(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let runtime = client_runtime()?;
    let (mut starts, mut sizes) = (Vec::new(), Vec::new());
    for round in 0..setting.rounds {
        let start = Instant::now();
        let server = Server::roster(&setting.database(&format!("rest-{round}.db")), CallLog::Off, &[])?;
        runtime.block_on(async {
            let mut client = Client::connect(&server.addr.to_string()).await?.users();
            client.health_check(HealthCheckRequest {}).await.context("HealthCheck")
        })?;
        starts.push(start.elapsed().as_secs_f64());
        std::thread::sleep(REST);
        sizes.push(server.resident_bytes()? as f64);
    }
    let (start, size) = (median(starts), median(sizes));
    let row = |what: &str, measured, figure, floor| Row {
        goal: 15,
        what: what.into(),
        measured,
        limit: String::new(),
        figure,
        floor: Floor::AtMost(floor),
    };
    Ok(vec![
        row("memory at rest, empty store, in MB", format!("{:.1} MB", size / MEGABYTE), size / MEGABYTE, 25.0),
        row("start to first answer, in s", time(start), start, 0.3),
    ])
}
