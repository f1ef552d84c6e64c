//! A primary and a standby that follows it, to be parted at will.

use tokio_postgres::Client;
use url::Url;

use super::{cluster::Cluster, connect, execute, finish, named};

const DATABASE: &str = "roster";

/// Two servers of their own.
pub struct Pair {
    /// `None` once it is lost.
    primary: Option<Cluster>,
    standby: Cluster,
    /// Of both.
    url: String,
}

impl Pair {
    /// A primary with an empty database, and what follows it.
    pub fn start() -> Self {
        let primary = Cluster::start().unwrap();
        finish(execute(&primary.url, &format!("CREATE DATABASE {DATABASE}"))).unwrap();
        let standby = primary.standby().unwrap();
        let (first, second) = (primary.url.host_str().unwrap(), standby.url.host_str().unwrap());
        let url = format!("postgres://roster@{first},{second}/{DATABASE}");
        Self { primary: Some(primary), standby, url }
    }

    /// Both, as `--database-url` takes them.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to the primary, or to who was promoted in its place.
    pub async fn connect(&self) -> Client {
        let one = self.primary.as_ref().unwrap_or(&self.standby);
        connect(&named(&one.url, DATABASE)).await.unwrap()
    }

    /// Has the standby take in all that was committed until now, and nothing after it.
    pub async fn part(&self) {
        let (primary, standby) = (self.connect().await, self.connect_to(&self.standby.url).await);
        const NOW: &str = "SELECT pg_current_wal_lsn()::TEXT";
        let now: String = primary.query_one(NOW, &[]).await.unwrap().get(0);
        until(&standby, &format!("SELECT pg_last_wal_replay_lsn() >= '{now}'")).await;
        standby.batch_execute("ALTER SYSTEM SET primary_conninfo = ''").await.unwrap();
        standby.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        until(&standby, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)").await;
    }

    /// Loses the primary, with what it alone has, and promotes the standby.
    pub async fn fail_over(&mut self) {
        let mut guard = self.primary.take().unwrap().guard.unwrap();
        drop(guard.process.stdin.take());
        guard.process.wait().unwrap();
        let standby = self.connect_to(&self.standby.url).await;
        let promoted: bool = standby.query_one("SELECT pg_promote()", &[]).await.unwrap().get(0);
        assert!(promoted);
    }

    async fn connect_to(&self, url: &Url) -> Client {
        connect(&named(url, DATABASE)).await.unwrap()
    }
}

/// Waits until the query says so.
async fn until(client: &Client, sql: &str) {
    while !client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0) {
        tokio::task::yield_now().await;
    }
}
