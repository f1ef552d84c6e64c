//! The connection to Redis: made, lost, refused, and what goes through it.

mod cluster;
mod failures;
mod messages;
mod start;

use std::{sync::LazyLock, time::Duration};

use roster_server::redis::{Away, OpenError, Purpose, Redis, RedisOptions, Script, State};

use crate::redis_server::RedisServer;

/// Long enough for whatever answers at all, however busy the machine is.
const PATIENT: Duration = Duration::from_secs(60);

/// Counts, and gives the count.
static COUNT: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('INCR', KEYS[1])"));

fn options(url: &str) -> RedisOptions {
    let url = url.parse().unwrap();
    RedisOptions { url, prefix: "test".into(), is_cluster: false, ca_file: None, wait_max: PATIENT }
}

/// Starting blocks, which the thread of a test's runtime must not.
async fn start(options: RedisOptions) -> Result<Redis, OpenError> {
    tokio::task::spawn_blocking(|| Redis::start(options)).await.unwrap()
}

async fn connected(server: &RedisServer) -> Redis {
    up(start(options(&server.url())).await.unwrap()).await
}

/// Waits until the connection works.
async fn up(redis: Redis) -> Redis {
    redis.state().wait_for(|state| matches!(state, State::Up(_))).await.unwrap();
    redis
}

async fn count(redis: &Redis, key: &str) -> Result<i64, Away> {
    let mut script = COUNT.prepare_invoke();
    script.key(redis.key(key));
    redis.run(Purpose::Limit, script).await
}
