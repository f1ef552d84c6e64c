//! What is done to the servers, and how long clients notice it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::task::spawn_blocking;

use super::{
    calls::{Calls, Failure},
    databases::Deed,
    limits,
    nodes::NODES,
    online::Online,
    site::Site,
};
use crate::{random::Random, redis_server::RedisServer};

/// How soon everybody goes on after what spares the database.
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);
/// How soon once the database is back, after however long: servers, the balancer and clients find out one after the other,
/// and clients that have failed for some time ask every four seconds.
const RECOVERED_FROM_OUTAGE_WITHIN: Duration = Duration::from_secs(15);
/// How often all sessions of the database are ended, and the time between two of these.
const SESSIONS_ENDED: usize = 10;
const BETWEEN: Duration = Duration::from_millis(50);
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of a node.
    Kill,
    /// SIGTERM of a node.
    Terminate,
    /// SIGSTOP of a node for some time.
    Freeze,
    /// SIGTERM of all nodes, one after the other is back.
    Rolling,
    /// The database ends all sessions, again and again.
    Sessions,
    /// The database restarts.
    Restart,
    /// It dies and recovers.
    Crash,
    /// It dies for good, and its standby takes its place.
    Promote,
    /// It changes places with its standby.
    Switch,
    /// Redis is gone for some time, and comes back empty.
    RedisKill,
    /// It is emptied.
    RedisFlush,
    /// SIGSTOP for some time.
    RedisFreeze,
}

impl Fault {
    /// All that can happen at this site.
    pub fn all(site: &Site) -> Vec<Self> {
        let mut all = vec![Self::Kill, Self::Terminate, Self::Freeze, Self::Rolling];
        all.extend([Self::Sessions, Self::Restart, Self::Crash, Self::Promote]);
        all.extend([Self::RedisKill, Self::RedisFlush, Self::RedisFreeze]);
        all.extend(site.databases.lock().unwrap().by_patroni.then_some(Self::Switch));
        all
    }

    /// Whether it leaves the database alone: then no client is to see more than a call that takes longer.
    pub fn spares_database(self) -> bool {
        matches!(self, Self::Kill | Self::Terminate | Self::Freeze | Self::Rolling) || self.is_of_redis()
    }

    /// How soon everybody has to go on after it.
    pub fn recovers_within(self) -> Duration {
        if self.spares_database() { RECOVERED_WITHIN } else { RECOVERED_FROM_OUTAGE_WITHIN }
    }

    fn is_of_redis(self) -> bool {
        matches!(self, Self::RedisKill | Self::RedisFlush | Self::RedisFreeze)
    }
}

/// What came of one.
pub struct Aftermath {
    pub fault: Fault,
    what: String,
    /// How long what is broken was broken by itself: a database that restarts.
    lasted: Duration,
    /// How long it took from then until everybody could call again.
    pub recovered_after: Duration,
    /// How long it took from then until every node knew who is online, and until all had heard of who came or went.
    presence: (Duration, Duration),
    pub failures: Vec<Failure>,
}

impl fmt::Display for Aftermath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, lasted, recovered_after, presence: (right, told), failures, .. } = self;
        write!(f, "{what}: ")?;
        if !lasted.is_zero() {
            write!(f, "away for {:.2} s, ", lasted.as_secs_f64())?;
        }
        let (recovered, right, told) = (recovered_after.as_secs_f64(), right.as_secs_f64(), told.as_millis());
        write!(
            f,
            "all go on after {recovered:.2} s, calls failed: {}; presence right after {right:.2} s, told in {told} ms",
            failures.len()
        )
    }
}

/// Who does it all.
pub struct Faults {
    site: Arc<Site>,
    calls: Arc<Calls>,
    /// Clients that are to go on.
    clients: Vec<String>,
    online: Online,
    random: Random,
    frozen_for: Duration,
    struck: u64,
}

impl Faults {
    pub async fn new(
        site: Arc<Site>,
        calls: Arc<Calls>,
        clients: Vec<String>,
        seed: u64,
        frozen_for: Duration,
    ) -> Self {
        limits::until_redis_is_used(&site).await;
        limits::assert_shared(&site, 0).await;
        let online = Online::start(&site).await;
        Self { site, calls, clients, online, random: Random(seed), frozen_for, struck: 0 }
    }

    /// Has it happen, and returns when everybody goes on and all is as before.
    pub async fn strike(&mut self, fault: Fault) -> Aftermath {
        self.struck += 1;
        self.online.fall_silent().await;
        let since = Instant::now();
        let node = self.random.below(NODES as u64) as usize;
        let (what, lasted, recovered_after) = match fault {
            Fault::Kill | Fault::Terminate => self.end(fault, node).await,
            Fault::Freeze => self.freeze(node).await,
            Fault::Rolling => {
                let mut longest = Duration::ZERO;
                for node in 0..NODES {
                    longest = longest.max(self.end(Fault::Terminate, node).await.2);
                }
                ("a restart of all nodes in turn".into(), Duration::ZERO, longest)
            }
            Fault::Sessions => {
                let database = self.site.databases.lock().unwrap().url.clone();
                let database = super::databases::connect(&database).await;
                for _ in 0..SESSIONS_ENDED {
                    database.execute(END_SESSIONS, &[]).await.unwrap();
                    tokio::time::sleep(BETWEEN).await;
                }
                (
                    format!("all sessions of the database ended {SESSIONS_ENDED} times"),
                    since.elapsed(),
                    self.recovered().await,
                )
            }
            Fault::Restart => self.database("a restart of the database", Deed::Restart).await,
            Fault::Crash => self.database("kill -9 of the database", Deed::Crash).await,
            Fault::Switch => self.database("the database and its standby change places", Deed::Switch).await,
            Fault::Promote => self.database("kill -9 of the database, and a standby promoted", Deed::Promote).await,
            Fault::RedisKill | Fault::RedisFreeze => self.redis_away(fault).await,
            Fault::RedisFlush => {
                let redis = Arc::clone(&self.site.redis);
                spawn_blocking(move || redis.lock().unwrap().ask::<String>("FLUSHALL")).await.unwrap();
                ("Redis emptied".into(), Duration::ZERO, self.recovered().await)
            }
        };
        let failures = self.calls.failed_since(since);
        if fault.is_of_redis() {
            limits::until_redis_is_used(&self.site).await;
            limits::assert_shared(&self.site, self.struck).await;
        }
        let presence = self.online.until_right().await;
        Aftermath { fault, what, lasted, recovered_after, presence, failures }
    }

    async fn redis_away(&self, how: Fault) -> (String, Duration, Duration) {
        let since = Instant::now();
        let redis = Arc::clone(&self.site.redis);
        let away = move |redis: &mut RedisServer| if how == Fault::RedisKill { redis.kill() } else { redis.freeze() };
        spawn_blocking(move || away(&mut redis.lock().unwrap())).await.unwrap();
        let recovered_after = self.recovered().await;
        tokio::time::sleep(self.frozen_for.saturating_sub(since.elapsed())).await;
        let redis = Arc::clone(&self.site.redis);
        let back =
            move |redis: &mut RedisServer| if how == Fault::RedisKill { redis.start_again() } else { redis.thaw() };
        let away_for = since.elapsed().as_secs_f64();
        spawn_blocking(move || back(&mut redis.lock().unwrap())).await.unwrap();
        let what = if how == Fault::RedisKill { "kill -9" } else { "SIGSTOP" };
        (format!("{what} of Redis for {away_for:.1} s"), Duration::ZERO, recovered_after.max(self.recovered().await))
    }

    async fn recovered(&self) -> Duration {
        self.calls.until_all_go_well(&self.clients, Instant::now()).await
    }

    async fn end(&self, how: Fault, node: usize) -> (String, Duration, Duration) {
        let (signal, code) = if how == Fault::Kill { (Signal::KILL, None) } else { (Signal::TERM, Some(0)) };
        self.site.nodes[node].signal(signal);
        let recovered_after = self.recovered().await;
        let site = Arc::clone(&self.site);
        let again = move || {
            assert_eq!(site.nodes[node].ended(), code, "{}", site.nodes[node].log());
            site.nodes[node].start();
            site.balancer.until_up(node + 1);
        };
        spawn_blocking(again).await.unwrap();
        (
            format!("{} of node {}", if code.is_some() { "SIGTERM" } else { "kill -9" }, node + 1),
            Duration::ZERO,
            recovered_after,
        )
    }

    async fn freeze(&self, node: usize) -> (String, Duration, Duration) {
        let since = Instant::now();
        self.site.nodes[node].signal(Signal::STOP);
        let recovered_after = self.recovered().await;
        tokio::time::sleep(self.frozen_for.saturating_sub(since.elapsed())).await;
        let frozen_for = since.elapsed();
        self.site.nodes[node].signal(Signal::CONT);
        let site = Arc::clone(&self.site);
        spawn_blocking(move || site.balancer.until_up(node + 1)).await.unwrap();
        let what = format!("SIGSTOP of node {} for {:.1} s", node + 1, frozen_for.as_secs_f64());
        (what, Duration::ZERO, recovered_after.max(self.recovered().await))
    }

    /// Afterwards there is a standby again that may be promoted.
    async fn database(&self, what: &str, deed: Deed) -> (String, Duration, Duration) {
        let since = Instant::now();
        self.does(deed).await;
        let (lasted, recovered_after) = (since.elapsed(), self.recovered().await);
        self.does(Deed::Join).await;
        (what.into(), lasted, recovered_after)
    }

    async fn does(&self, deed: Deed) {
        let databases = Arc::clone(&self.site.databases);
        spawn_blocking(move || databases.lock().unwrap().does(deed)).await.unwrap();
    }
}
