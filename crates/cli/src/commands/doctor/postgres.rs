//! A PostgreSQL database: whether it can be reached and served. Looks, and migrates nothing.

use roster_server::store::postgres::{Inspected, PostgresUrl, inspect};

use super::check::Check;
use crate::error::exit_of;

const NAME: &str = "database";

/// Looks at it as the server would at its start.
pub async fn database(url: &PostgresUrl) -> Vec<Check> {
    let found = match inspect(url).await {
        Ok(found) => found,
        Err(error) => return vec![Check::fail(exit_of(&error), NAME, error.to_string(), error.mend())],
    };
    let Inspected { version, schema, ascii_only } = found;
    let schema = schema.map_or_else(|| "empty; the first start fills it".into(), |schema| format!("schema {schema}"));
    let mut checks = vec![Check::ok(NAME, format!("{url}: PostgreSQL {version}, {schema}"))];
    if ascii_only {
        let what = "its locale knows no letters but ASCII's: a search for others reads every user";
        let advice = "move to a database made with createdb --template=template0 --encoding=UTF8 --locale=C.UTF-8";
        checks.push(Check::warn(NAME, what, advice));
    }
    checks
}
