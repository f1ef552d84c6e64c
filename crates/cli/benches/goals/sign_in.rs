//! Goals 11 and 12: how fast people sign in, and what others notice of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::anyhow;

use crate::{
    goals::{GET, Setting, WARM_UP, seeded, without_errors},
    hash_limit,
    load::{Load, Requests, any_of},
    process::{CallLog, Server},
    report::{Floor, Row, rate, time},
    users,
};

const CREATE: &str = "/user.v1.UserService/CreateUser";
pub const SIGN_IN: &str = "/auth.v1.AuthService/SignIn";

/// People who sign in, again and again.
const PEOPLE: u64 = 64;
/// The people of a store are numbered from 0; these come far behind them.
const FIRST: u64 = 1 << 40;
/// Sign-ins at the same time, as connections and calls on each: fewer than may wait for a hash.
const STORM: (usize, usize) = (4, 16);
/// The storm begins earlier than the measurement in it, and ends later.
const MARGIN: Duration = Duration::from_millis(500);
/// Many sign in as the same person from the same address, which would look like guessing.
pub const TRUSTING: [(&str, &str); 2] =
    [("ROSTER_SIGN_IN_FREE_FAILURES", "1000000"), ("ROSTER_SIGN_IN_FREE_FAILURES_PER_ADDRESS", "1000000")];
/// None of them is to be refused, either.
const UNLIMITED: [(&str, &str); 3] = [TRUSTING[0], TRUSTING[1], ("ROSTER_QUEUE_WAIT_MAX_MS", "60000")];

/// Creates the people who sign in; gives their sign-ins.
pub fn sign_ins(server: &Server) -> anyhow::Result<Requests> {
    let next = AtomicU64::new(FIRST);
    let create: Requests = Arc::new(move |_| {
        let number = next.fetch_add(1, Relaxed);
        (number < FIRST + PEOPLE).then(|| users::create_with_password(number))
    });
    let duration = Duration::from_secs(60);
    without_errors(
        Load { addr: server.addr, path: CREATE, requests: create, connections: 1, streams: 16, duration }.run()?,
    )?;
    Ok(any_of((FIRST..FIRST + PEOPLE).map(users::sign_in).collect()))
}

/// Goal 11.
pub fn throughput(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let server = Server::roster(&setting.database("sign-in.db"), CallLog::Off, &UNLIMITED)?;
    let requests = sign_ins(&server)?;
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(&server, SIGN_IN, &requests, STORM)?.calls_per_cpu()),
        || hash_limit::hashes_per_cpu(setting.duration),
    )?;
    Ok(vec![Row {
        goal: 11,
        what: "sign-ins, against Argon2id alone on as many threads".into(),
        measured: rate(measured, "/CPU-s"),
        limit: rate(limit, "/CPU-s"),
        figure: ratio,
        floor: Floor::AtLeast(0.95),
    }])
}

/// Goal 12.
pub fn storm(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let (server, requests) = seeded(setting, "storm.db", &UNLIMITED, users::get)?;
    let sign_ins = sign_ins(&server)?;
    let p99 = || Ok(setting.sample(&server, GET, &requests, (1, 16))?.latency(0.99));
    let in_a_storm = || {
        let (connections, streams) = STORM;
        let duration = MARGIN + WARM_UP + setting.duration + MARGIN;
        let load =
            Load { addr: server.addr, path: SIGN_IN, requests: Arc::clone(&sign_ins), connections, streams, duration };
        let storm = thread::spawn(move || load.run());
        thread::sleep(MARGIN);
        let p99 = p99();
        without_errors(storm.join().map_err(|_| anyhow!("the storm panicked"))??)?;
        p99
    };
    let (measured, limit, ratio) = setting.compare(in_a_storm, p99)?;
    Ok(vec![Row {
        goal: 12,
        what: "GetUser p99 during a storm of sign-ins, against without".into(),
        measured: time(measured),
        limit: time(limit),
        figure: ratio,
        floor: Floor::AtMost(2.0),
    }])
}
