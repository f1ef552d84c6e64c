//! Two servers over one PostgreSQL database and one Redis: what they share, and what they do without it.

mod away;
mod commits;
mod limits;
mod lockouts;

use std::time::Duration;

use roster_server::config::Config;

use super::metrics::Scraped;
use crate::{harness::Server, postgres::Database, redis_server::RedisServer};

/// Long enough for whatever answers at all, however busy the machine is.
const PATIENT: Duration = Duration::from_secs(60);

/// What servers share.
pub(super) struct Shared {
    database: Database,
    pub(super) redis: RedisServer,
    /// Where there is a cluster: those beside the first.
    others: Vec<RedisServer>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self { database: Database::new(), redis: RedisServer::start(), others: Vec::new() }
    }

    pub(super) async fn over_a_cluster() -> Self {
        let [redis, other, another] = RedisServer::cluster().await;
        Self { database: Database::new(), redis, others: vec![other, another] }
    }

    /// One more server, where every caller is an administrator unless it is told otherwise.
    pub(super) async fn server(&self, set: impl FnOnce(&mut Config)) -> Server {
        let server = Server::start(|config| {
            config.database_url = self.database.url().parse().unwrap();
            config.redis_url = self.redis.url().parse().ok();
            config.redis_cluster = !self.others.is_empty();
            config.redis_wait_max = PATIENT;
            set(config);
        });
        until(&server, "roster_redis_up", 1.0).await;
        // Messages of others are heard, too.
        at_least(&server, "roster_redis_message_gaps_total", 1.0).await;
        server
    }

    /// Two that are set alike.
    async fn two(&self, set: impl Fn(&mut Config)) -> [Server; 2] {
        [self.server(&set).await, self.server(&set).await]
    }
}

/// Waits until a sample of a server has this value.
pub(super) async fn until(server: &Server, sample: &str, value: f64) {
    while Scraped::of(server).await.get(sample) != value {
        tokio::task::yield_now().await;
    }
}

/// Waits until a sample of a server has this value or a greater one.
pub(super) async fn at_least(server: &Server, sample: &str, value: f64) {
    while Scraped::of(server).await.get(sample) < value {
        tokio::task::yield_now().await;
    }
}
