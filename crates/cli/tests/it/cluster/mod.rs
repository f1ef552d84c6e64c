//! Three servers over one PostgreSQL and one Redis behind one HAProxy are one server, whatever is killed, frozen or
//! restarted.
//!
//! Clients write, watch, take access away and send calls twice, while faults come in an order that a seed decides. Whatever
//! was acknowledged is remembered, and held against what every node and the database have.
//!
//! `ROSTER_CHAOS_SECONDS` has it go on for so long, with longer freezes, and `ROSTER_CHAOS_SEED` in another order:
//!
//! ```sh
//! ROSTER_CHAOS_SECONDS=600 ROSTER_CHAOS_SEED=7 cargo test -p roster --test it -- cluster --nocapture
//! ```
//!
//! With `ROSTER_CHAOS_PATRONI=1`, Patroni on etcd runs the databases.

mod balancer;
mod calls;
mod databases;
mod faults;
mod limits;
mod nodes;
mod online;
mod revocations;
mod site;
mod truth;
mod twins;
mod watchers;
mod writers;

use std::{
    collections::HashMap,
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use roster_api::user::v1::User;
use tokio::{
    sync::watch,
    task::{JoinHandle, LocalSet, spawn_blocking, spawn_local},
};

use self::{
    calls::Calls,
    faults::{Aftermath, Fault, Faults},
    nodes::{NODES, Node},
    revocations::{REFUSED_WITHIN, Revoker},
    site::Site,
    twins::Twins,
    watchers::{Watcher, assert_whole, replay},
    writers::Writer,
};
use crate::{random::Random, server::new_user};

/// Clients that write through the balancer, and that know all nodes by themselves.
const WRITERS: u64 = 6;
const WRITERS_WITHOUT_BALANCER: u64 = 2;
/// The user whose creation ends it all.
const THE_LAST: &str = "the-last";
/// How long the last change may take to reach every watcher.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

/// How often each node has to have shown what another had acknowledged, however slow the machine is.
const SEEN_ELSEWHERE_MIN: u64 = 20;

/// How long, and how hard.
struct Plan {
    seed: u64,
    /// At least; every fault comes once in any case.
    lasts: Duration,
    frozen_for: Duration,
    /// Between two faults.
    calm: Duration,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name: &str| {
            env::var(name)
                .ok()
                .map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a whole number, not {text:?}")))
        };
        let seed = number("ROSTER_CHAOS_SEED").unwrap_or(1);
        match number("ROSTER_CHAOS_SECONDS") {
            None => Self {
                seed,
                lasts: Duration::ZERO,
                frozen_for: Duration::from_secs(3),
                calm: Duration::from_millis(500),
            },
            Some(seconds) => {
                let (lasts, frozen_for) = (Duration::from_secs(seconds), Duration::from_secs(10));
                Self { seed, lasts, frozen_for, calm: Duration::from_secs(2) }
            }
        }
    }

    /// All faults in the order of chance, and then others while there is time.
    async fn carry_out(&self, faults: &mut Faults, all: &[Fault]) -> Vec<Aftermath> {
        let (began, mut random, mut aftermaths) = (Instant::now(), Random(self.seed), Vec::new());
        let mut once = all.to_vec();
        while !once.is_empty() || began.elapsed() < self.lasts {
            tokio::time::sleep(self.calm).await;
            let fault = match once.len() {
                0 => all[random.below(all.len() as u64) as usize],
                left => once.swap_remove(random.below(left as u64) as usize),
            };
            let aftermath = faults.strike(fault).await;
            eprintln!("{:6.1} s  {aftermath}", began.elapsed().as_secs_f64());
            aftermaths.push(aftermath);
        }
        aftermaths
    }
}

/// A client that does one thing after the other until it is told to stop.
fn go_on<C: 'static>(
    mut client: C,
    stopping: &watch::Receiver<bool>,
    step: impl AsyncFn(&mut C) + 'static,
) -> JoinHandle<C> {
    let stopping = stopping.clone();
    spawn_local(async move {
        while !*stopping.borrow() {
            step(&mut client).await;
        }
        client
    })
}

#[test]
fn three_nodes_are_one_server_whatever_happens_to_them() {
    // Connections and those who measure have threads beside the one that does the rest.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, chaos(Plan::from_environment()));
}

async fn chaos(plan: Plan) {
    let site = Arc::new(Site::start().await);
    let database = site.databases.lock().unwrap().url.clone();
    let (calls, client) = (Arc::new(Calls::default()), site.client().await);
    let each = site.client_of_each().await.map(|client| client.users());
    client.users().create_user(new_user(twins::CHANGED)).await.unwrap();

    let before = truth::logged(&databases::connect(&database).await).await.len();
    let mut watchers = Vec::new();
    for watching in [site.client().await, site.client().await, site.client_of_all().await] {
        watchers.push(spawn_local(Watcher::start(watching.users()).await.until(THE_LAST)));
    }

    let (stop, stopping) = watch::channel(false);
    let (mut writers, mut names) = (Vec::new(), Vec::new());
    for number in 0..WRITERS + WRITERS_WITHOUT_BALANCER {
        let client = if number < WRITERS { site.client().await } else { site.client_of_all().await };
        let writer = Writer::new(number, plan.seed, Arc::clone(&calls), client.users(), site.each());
        names.push(writer.name.clone());
        writers.push(go_on(writer, &stopping, Writer::step));
    }
    let twins = Twins::new(Arc::clone(&calls), site.client().await.users(), each);
    let twins = go_on(twins, &stopping, Twins::step);
    let revoker = Revoker::new(plan.seed, Arc::clone(&calls), site.client().await, site.each());
    let revoker = go_on(revoker, &stopping, Revoker::step);

    let (all, frozen_for) = (Fault::all(&site), plan.frozen_for);
    let mut faults = Faults::new(Arc::clone(&site), Arc::clone(&calls), names, plan.seed, frozen_for).await;
    let aftermaths = plan.carry_out(&mut faults, &all).await;
    stop.send_replace(true);
    let (twins, mut revoker) = (twins.await.unwrap(), revoker.await.unwrap());
    let (mut known, mut seen_elsewhere) = (HashMap::new(), [0; NODES]);
    for writer in writers {
        let writer = writer.await.unwrap();
        known.extend(writer.known);
        (0..NODES).for_each(|node| seen_elsewhere[node] += writer.seen_elsewhere[node]);
    }
    known.extend(twins.made.iter().chain(&twins.changed).map(|user| (user.id.clone(), Some(user.clone()))));
    client.users().create_user(new_user(THE_LAST)).await.unwrap();

    // One feed: whoever watched has the whole log, and every node tells it again.
    let mut told = Vec::new();
    for watcher in watchers {
        told.push(tokio::time::timeout(TOLD_WITHIN, watcher).await.unwrap().unwrap());
    }
    let database = databases::connect(&database).await;
    truth::assert_consistent(&database).await;
    let logged = truth::logged(&database).await.split_off(before);
    for (number, watcher) in told.iter().enumerate() {
        assert_whole(&watcher.told, &logged, &format!("watcher {}", number + 1));
    }
    for (number, node) in site.client_of_each().await.iter().enumerate() {
        let again = replay(node.users(), &told[0].first_token, THE_LAST).await;
        assert_whole(&again, &logged, &format!("who asks node {} for everything again", number + 1));
    }

    // One state: all that was acknowledged, and nothing else.
    for (number, mut node) in site.each().into_iter().enumerate() {
        assert_shows(&truth::listed(&mut node).await, &known, number + 1);
    }
    let revision = format!("SELECT revision FROM users WHERE id = 't{}'", twins::CHANGED);
    assert_eq!(
        truth::number(&database, &revision).await as u64,
        1 + twins.changes,
        "calls with one key were done twice"
    );
    revoker.assert_all_ended(site.each_auth()).await;
    let nodes = Arc::clone(&site.nodes);
    spawn_blocking(move || nodes.iter().for_each(Node::stop)).await.unwrap();

    let (succeeded, slowest) = calls.went_well();
    let cuts: u64 = told.iter().map(|watcher| watcher.cuts).sum();
    eprintln!(
        "seed {}: {succeeded} calls acknowledged, the slowest in {:.2} s; {} changes in the log, {cuts} cuts of 3 watchers: \
         gaps 0, repeats 0; writes read on another node at once: {seen_elsewhere:?}; {} changes sent 7 times at once, {} \
         answers: one each; ended access was taken for {} ms at most, refusals {:?}",
        plan.seed,
        slowest.as_secs_f64(),
        logged.len(),
        twins.changes,
        twins.compared,
        revoker.longest.as_millis(),
        revoker.refused,
    );
    for aftermath in &aftermaths {
        assert!(aftermath.recovered_after < aftermath.fault.recovers_within(), "{aftermath}");
        assert!(
            !aftermath.fault.spares_database() || aftermath.failures.is_empty(),
            "{aftermath}: {:#?}",
            aftermath.failures
        );
    }
    assert!(revoker.longest < REFUSED_WITHIN && revoker.refused.iter().all(|refused| *refused > 0));
    assert!(seen_elsewhere.iter().all(|seen| *seen > SEEN_ELSEWHERE_MIN), "{seen_elsewhere:?}");
}

/// That a node has the users whose state is known, as they were acknowledged, and no others of the same clients.
fn assert_shows(listed: &HashMap<String, User>, known: &HashMap<String, Option<User>>, node: usize) {
    for (id, user) in known {
        assert_eq!(listed.get(id), user.as_ref(), "node {node}, {id}");
    }
    for (id, user) in listed {
        let is_ours = id.starts_with('w') || user.email.starts_with(twins::CHANGED);
        assert!(!is_ours || known.contains_key(id), "node {node} has {user:?}, which nobody asked for");
    }
}
