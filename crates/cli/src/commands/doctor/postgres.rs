//! A PostgreSQL database: whether it can be reached and served. Looks, and migrates nothing.

use roster_server::store::postgres::{Inspected, PostgresUrl, inspect};

use super::check::Check;
use crate::error::exit_of;

/// Looks at it as the server would at its start.
pub async fn database(url: &PostgresUrl) -> Check {
    const NAME: &str = "database";
    match inspect(url).await {
        Ok(Inspected { version, schema: Some(schema) }) => {
            Check::ok(NAME, format!("{url}: PostgreSQL {version}, schema {schema}"))
        }
        Ok(Inspected { version, schema: None }) => {
            Check::ok(NAME, format!("{url}: PostgreSQL {version}, empty; the first start fills it"))
        }
        Err(error) => Check::fail(exit_of(&error), NAME, error.to_string(), error.mend()),
    }
}
