//! From a URL to a database that may be trusted: reached, checked, migrated.

use tokio::runtime::Handle;
use tokio_postgres::{Client, Error};

use super::{connect::Connector, error::OpenError, migrations, options::PostgresUrl, tls};

/// The oldest server that will do, as `server_version_num` has it and as people do.
const VERSION_MIN: u32 = 140_000;
const VERSION_MIN_SHOWN: u32 = 14;

/// Connects, checks, migrates. Leaves no connection behind.
pub(super) async fn open(connector: &Connector, server: &str) -> Result<(), OpenError> {
    let (client, _task) = connector.connect().await.map_err(|error| OpenError::of(server, &error))?;
    check(&client, server).await?;
    migrations::run(&client, server).await?;
    if is_ascii_only(&client).await.map_err(|error| OpenError::of(server, &error))? {
        tracing::warn!(
            server,
            "the database's locale knows no letters but ASCII's: searches for others read every user"
        );
    }
    Ok(())
}

/// A database that could be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The server's version.
    pub version: String,
    /// The version of the schema; `None` if the database is empty.
    pub schema: Option<i64>,
    /// Its locale knows no letters but ASCII's: the index over trigrams leaves out all others, and a search for them reads
    /// every user.
    pub ascii_only: bool,
}

/// Looks at a database without changing it.
///
/// # Errors
/// Why it cannot be served.
pub async fn inspect(url: &PostgresUrl) -> Result<Inspected, OpenError> {
    let server = url.server();
    let tls = tls::connector(&url.trust).map_err(|detail| OpenError::Tls { server: server.clone(), detail })?;
    let connector = Connector::new(&url.config, tls, Handle::current());
    let (client, _task) = connector.connect().await.map_err(|error| OpenError::of(&server, &error))?;
    let version = check(&client, &server).await?;
    let schema = migrations::version(&client, &server).await?;
    let ascii_only = is_ascii_only(&client).await.map_err(|error| OpenError::of(&server, &error))?;
    Ok(Inspected { version, schema, ascii_only })
}

/// Whether the extension for searches takes other letters for none: see [`Inspected::ascii_only`].
async fn is_ascii_only(client: &Client) -> Result<bool, Error> {
    const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')";
    // Of two alphabets. What it makes of them hangs on the locale, and on the release how.
    const SEES: &str = "SELECT cardinality(show_trgm('ж')) = 0 OR cardinality(show_trgm('ß')) = 0";
    // About what it will make of them once it is there.
    const WILL_SEE: &str = "SELECT datctype IN ('C', 'POSIX') FROM pg_database WHERE datname = current_database()";
    let exists: bool = client.query_one(EXISTS, &[]).await?.get(0);
    Ok(client.query_one(if exists { SEES } else { WILL_SEE }, &[]).await?.get(0))
}

/// Refuses servers and databases that cannot be served; the server's version.
pub(super) async fn check(client: &Client, server: &str) -> Result<String, OpenError> {
    const SQL: &str = "SELECT current_setting('server_version_num')::BIGINT, current_setting('server_version'),
                              current_setting('server_encoding'), current_setting('transaction_read_only')::BOOLEAN,
                              current_schema() IS NOT NULL";
    let found = client.query_one(SQL, &[]).await.map_err(|error| OpenError::of(server, &error))?;
    let server = server.to_owned();
    if found.get::<_, i64>(0) < i64::from(VERSION_MIN) {
        return Err(OpenError::OldServer { server, found: found.get(1), needed: VERSION_MIN_SHOWN });
    }
    if found.get::<_, &str>(2) != "UTF8" {
        return Err(OpenError::NotUtf8 { server, found: found.get(2) });
    }
    if found.get(3) {
        return Err(OpenError::ReadOnly { server, detail: "its transactions are read-only".into() });
    }
    if !found.get::<_, bool>(4) {
        return Err(OpenError::NotAllowed { server, detail: "no schema of its search_path exists".into() });
    }
    Ok(found.get(1))
}
