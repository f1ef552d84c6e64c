//! From a URL to a database that may be trusted: reached, checked, migrated.

use tokio_postgres::Client;

use super::{connect::Connector, error::OpenError, migrations};

/// The oldest server that will do, as `server_version_num` has it and as people do.
const VERSION_MIN: u32 = 140_000;
const VERSION_MIN_SHOWN: u32 = 14;

/// Connects, checks, migrates. Leaves no connection behind.
pub(super) async fn open(connector: &Connector, server: &str) -> Result<(), OpenError> {
    let (client, _task) = connector.connect().await.map_err(|error| OpenError::of(server, &error))?;
    check(&client, server).await?;
    migrations::run(&client, server).await
}

/// Refuses servers and databases that cannot be served.
async fn check(client: &Client, server: &str) -> Result<(), OpenError> {
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
    Ok(())
}
