//! PostgreSQL for tests: a database for each, in a server that all tests of this process share.

mod cluster;
mod pair;

use std::{
    future::Future,
    process,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use roster_server::store::{
    Store as _,
    postgres::{PostgresOptions, PostgresStore},
};
use tokio_postgres::{Client, NoTls};
use url::Url;

// The command line's tests use this file too; neither needs all of it.
#[allow(unused_imports)]
pub use self::{
    cluster::{Cluster, find_programs, run_script},
    pair::Pair,
};

/// The server; started by the first test that asks for a database.
static SERVER: LazyLock<Result<Server, String>> = LazyLock::new(|| {
    let cluster = Cluster::find_or_start()?;
    let template = if cluster.guard.is_some() { finish(make_template(&cluster.url))? } else { "" };
    Ok(Server { cluster, template })
});

struct Server {
    cluster: Cluster,
    /// What databases for tests are made from; empty in a server that is not ours to litter.
    template: &'static str,
}

/// Makes a database with our schema in it: to copy it is sooner done than to migrate an empty one for each test.
async fn make_template(url: &Url) -> Result<&'static str, String> {
    execute(url, "CREATE DATABASE roster_template").await?;
    let store = PostgresStore::open(options(named(url, "roster_template").as_str()));
    store.map_err(|error| error.to_string())?.close().await;
    // Since release 15 a copy is written to the log page by page unless we say that files will do.
    let release = "SELECT current_setting('server_version_num')::int";
    let release: i32 = connect(url).await?.query_one(release, &[]).await.map_err(text)?.get(0);
    Ok(if release >= 150_000 { "TEMPLATE roster_template STRATEGY file_copy" } else { "TEMPLATE roster_template" })
}

/// A database of its own for a test; gone when this is dropped.
pub struct Database {
    name: String,
    url: Url,
}

impl Database {
    /// One with our schema in it, or about to be given it by whoever opens it first.
    pub fn new() -> Self {
        Self::create(server().template)
    }

    /// One with nothing in it.
    pub fn blank() -> Self {
        Self::create("")
    }

    fn create(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("roster_test_{}_{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = &server().cluster.url;
        finish(execute(url, &format!("CREATE DATABASE {name} {template}"))).unwrap();
        Self { url: named(url, &name), name }
    }

    /// Where it is, as `--database-url` takes it.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// A store over it; there may be several.
    pub fn open(&self) -> PostgresStore {
        PostgresStore::open(options(self.url())).unwrap()
    }

    /// A connection of its own, for what no store shows.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await.unwrap()
    }

    /// What a query for one number gives.
    pub fn number(&self, sql: &str) -> i64 {
        finish(async { self.connect().await.query_one(sql, &[]).await.unwrap().get(0) })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test that has failed says why already.
        let _ = finish(execute(&server().cluster.url, &format!("DROP DATABASE {} WITH (FORCE)", self.name)));
    }
}

/// How tests open the database at this URL.
pub fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        url: url.parse().unwrap(),
        connections_max: 8,
        waiting_max: 100_000,
        cache_bytes: 16 << 20,
        replicas: None,
    }
}

fn server() -> &'static Server {
    SERVER.as_ref().unwrap_or_else(|problem| panic!("{problem}"))
}

/// A server of its own with a database that has our schema, for what would disturb other tests; and where that is.
pub fn alone() -> (Cluster, Url) {
    let cluster = Cluster::start().unwrap();
    let url = named(&cluster.url, "alone");
    finish(async {
        execute(&cluster.url, "CREATE DATABASE alone").await?;
        PostgresStore::open(options(url.as_str())).map_err(|error| error.to_string())?.close().await;
        Ok::<_, String>(())
    })
    .unwrap();
    (cluster, url)
}

/// Another database of the same server.
pub fn named(url: &Url, name: &str) -> Url {
    let mut url = url.clone();
    url.set_path(name);
    url
}

/// A connection, on the runtime of the caller.
pub async fn connect(url: &Url) -> Result<Client, String> {
    let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls).await.map_err(text)?;
    tokio::spawn(connection);
    Ok(client)
}

async fn execute(url: &Url, sql: &str) -> Result<(), String> {
    connect(url).await?.batch_execute(sql).await.map_err(|error| format!("{sql}: {}", text(error)))
}

/// With what the server said, which the error's own text leaves out.
fn text(error: tokio_postgres::Error) -> String {
    format!("{error:?}")
}

/// Runs it to its end on a thread of its own: whoever calls may be in a runtime, which must not be blocked from within.
fn finish<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::scope(|scope| scope.spawn(|| runtime().block_on(work)).join().unwrap())
}

#[test]
fn a_throwaway_server_ends_with_whoever_started_it() {
    let cluster = Cluster::start().unwrap();
    finish(execute(&cluster.url, "CREATE DATABASE something")).unwrap();
    let mut guard = cluster.guard.unwrap();
    assert!(guard.folder.is_dir());
    // As the end of our process does.
    drop(guard.process.stdin.take());
    guard.process.wait().unwrap();
    assert!(!guard.folder.exists());
    assert!(finish(tokio_postgres::connect(cluster.url.as_str(), NoTls)).is_err());
}
