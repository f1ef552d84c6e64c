//! The schema, version by version. Each step is one transaction, so a step that is cut off has not happened.

use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;

use super::error::OpenError;

/// A step to the next version.
struct Step {
    sql: &'static str,
    /// The oldest version whose Roster can serve a database that has come this far, beside newer ones.
    serves_from: i64,
}

/// Step N brings the schema to version N.
const STEPS: &[Step] = &[Step { sql: include_str!("migrations/0001_roster.sql"), serves_from: 1 }];

/// The newest schema that this binary knows.
pub const NEWEST: i64 = STEPS.len() as i64;

/// Held by whoever migrates; "migrate" in ASCII.
const LOCK: i64 = 0x6d_6967_7261_7465;

/// What says how far a database has come.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS roster_schema (
    version     BIGINT PRIMARY KEY,
    checksum    TEXT NOT NULL,                          -- SHA-256 of the step
    serves_from BIGINT NOT NULL,                        -- the oldest version whose Roster can serve this one
    applied_at  TIMESTAMPTZ NOT NULL DEFAULT now()
)";

/// A table, view or the like that is neither ours nor of an extension.
const FOREIGN_TABLE: &str = "SELECT c.relname::TEXT FROM pg_class c
    WHERE c.relnamespace = current_schema()::REGNAMESPACE AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1 LIMIT 1";

/// A version that a database has reached.
struct Reached {
    version: i64,
    checksum: String,
    serves_from: i64,
}

/// Brings the schema to [`NEWEST`], or to where a newer Roster has brought it that lets this one serve.
///
/// # Errors
/// The database is another program's, or too new.
pub(super) async fn run(client: &Client, server: &str) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::of(server, &error);
    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await.map_err(failed)?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let reached = reached(client, server).await?;
    check(&reached, server)?;
    for (version, step) in (1_i64..).zip(STEPS).skip(reached.len()) {
        client.batch_execute(&format!("BEGIN; {}; COMMIT", applied(version, step))).await.map_err(failed)?;
        tracing::info!(version, "the schema of the database was migrated");
    }
    // With the connection, which is given up after this, the lock would go too, but later.
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await.map_err(failed)?;
    Ok(())
}

/// A step, and the note that it was made.
fn applied(version: i64, step: &Step) -> String {
    format!(
        "{TABLE}; {}; INSERT INTO roster_schema (version, checksum, serves_from) VALUES ({version}, '{}', {})",
        step.sql,
        checksum(step),
        step.serves_from
    )
}

/// Makes the whole schema in an empty database, and does something more in the same transaction.
///
/// # Errors
/// There is something in it.
pub(super) async fn run_then(client: &Client, server: &str, then: &str) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::of(server, &error);
    client.batch_execute("BEGIN").await.map_err(failed)?;
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    if version(client, server).await?.is_some() {
        let detail = "a server has just been started on it".to_owned();
        return Err(OpenError::NotOurs { server: server.to_owned(), detail });
    }
    let steps: Vec<_> = (1_i64..).zip(STEPS).map(|(version, step)| applied(version, step)).collect();
    client.batch_execute(&format!("{}; {then}; COMMIT", steps.join(";"))).await.map_err(failed)
}

/// The version that the database has reached, if this binary can serve it; `None` if it is empty.
pub(super) async fn version(client: &Client, server: &str) -> Result<Option<i64>, OpenError> {
    let reached = reached(client, server).await?;
    check(&reached, server)?;
    Ok(reached.last().map(|newest| newest.version))
}

/// The versions that the database has reached, from the first; none if it is empty.
async fn reached(client: &Client, server: &str) -> Result<Vec<Reached>, OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::of(server, &error);
    const EXIST: &str = "SELECT to_regclass('roster_schema') IS NOT NULL, to_regclass('roster_copy') IS NOT NULL";
    let exist = client.query_one(EXIST, &[]).await.map_err(failed)?;
    if exist.get(1) {
        return Err(OpenError::HalfCopied { server: server.to_owned() });
    }
    if !exist.get::<_, bool>(0) {
        return match client.query_opt(FOREIGN_TABLE, &[]).await.map_err(failed)? {
            None => Ok(Vec::new()),
            Some(row) => {
                let detail = format!("it has a table {:?} and none of Roster's", row.get::<_, String>(0));
                Err(OpenError::NotOurs { server: server.to_owned(), detail })
            }
        };
    }
    let rows = client.query("SELECT version, checksum, serves_from FROM roster_schema ORDER BY version", &[]).await;
    let of_row =
        |row: tokio_postgres::Row| Reached { version: row.get(0), checksum: row.get(1), serves_from: row.get(2) };
    Ok(rows.map_err(failed)?.into_iter().map(of_row).collect())
}

/// Whether this binary can serve what it found.
fn check(reached: &[Reached], server: &str) -> Result<(), OpenError> {
    let server = || server.to_owned();
    for (found, step) in reached.iter().zip(STEPS) {
        if found.checksum != checksum(step) {
            let detail = format!("step {} of its schema is not the one that this Roster knows", found.version);
            return Err(OpenError::NotOurs { server: server(), detail });
        }
    }
    match reached.last() {
        Some(newest) if newest.version > NEWEST && newest.serves_from > NEWEST => Err(OpenError::NewerSchema {
            server: server(),
            found: newest.version,
            needed: newest.serves_from,
            known: NEWEST,
        }),
        _ => Ok(()),
    }
}

fn checksum(step: &Step) -> String {
    Sha256::digest(step.sql).iter().map(|byte| format!("{byte:02x}")).collect()
}
