//! The schema, version by version. Each step is one transaction, so a step that is cut off has not happened.
//!
//! Servers of the release before go on meanwhile. Whoever waits for a lock that a step needs has all wait who come after it,
//! however little they ask for. So a step waits for a moment alone, gives up all that it has, and tries again later.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, error::SqlState};

use super::error::OpenError;

/// A step to the next version.
struct Step {
    sql: &'static str,
    /// The oldest version whose Roster can serve a database that has come this far, beside newer ones.
    serves_from: i64,
}

/// Step N brings the schema to version N.
const STEPS: &[Step] = &[
    Step { sql: include_str!("migrations/0001_roster.sql"), serves_from: 1 },
    Step { sql: include_str!("migrations/0002_courses.sql"), serves_from: 1 },
];

/// The newest schema that this binary knows.
pub const NEWEST: i64 = STEPS.len() as i64;

/// Held by whoever migrates; "migrate" in ASCII.
const LOCK: i64 = 0x6d_6967_7261_7465;

/// How long a step waits for a lock. Calls of other servers wait behind it so long.
const LOCK_WAIT: &str = "SET statement_timeout = 0; SET lock_timeout = '300ms'";
/// About how long it waits before it tries again.
const PAUSE: Duration = Duration::from_millis(700);
/// How long it tries.
const PATIENCE: Duration = Duration::from_secs(20);

/// The session that has been in a transaction for longest which holds a lock on a table of ours.
const HOLDER: &str = "SELECT format('session %s (%s, %s) has had a lock on the table %s for %s s', a.pid,
                               coalesce(nullif(a.application_name, ''), 'without a name'), a.state, c.relname,
                               extract(epoch FROM clock_timestamp() - a.xact_start)::BIGINT)
    FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
    WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND c.relnamespace = current_schema()::REGNAMESPACE AND l.pid <> pg_backend_pid()
    ORDER BY a.xact_start LIMIT 1";
/// The session that migrates.
const MIGRATING: &str = "SELECT format('session %s (%s) has been migrating it for %s s', a.pid,
                                  coalesce(nullif(a.application_name, ''), 'without a name'),
                                  extract(epoch FROM clock_timestamp() - a.backend_start)::BIGINT)
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.granted AND l.locktype = 'advisory' AND (l.classid::BIGINT << 32) + l.objid::BIGINT = $1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1";

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
    // Whoever has nothing to do waits for nobody.
    if at(client, server).await? >= STEPS.len() {
        return Ok(());
    }
    client.batch_execute(LOCK_WAIT).await.map_err(failed)?;
    take_turn(client, server).await?;
    for (version, step) in (1_i64..).zip(STEPS).skip(at(client, server).await?) {
        apply(client, server, version, step).await?;
        tracing::info!(version, "the schema of the database was migrated");
    }
    // With the connection, which is given up after this, the lock would go too, but later.
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await.map_err(failed)?;
    Ok(())
}

/// How many steps the database has come, if this binary can serve it.
async fn at(client: &Client, server: &str) -> Result<usize, OpenError> {
    let reached = reached(client, server).await?;
    check(&reached, server)?;
    Ok(reached.len())
}

/// Has no other server migrate. It asks again and again rather than to wait: who waits in the database keeps a snapshot.
async fn take_turn(client: &Client, server: &str) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::of(server, &error);
    let began = Instant::now();
    loop {
        let taken = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await.map_err(failed)?;
        if taken.get(0) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let holder = client.query_opt(MIGRATING, &[&LOCK]).await.map_err(failed)?;
            return Err(held(server, holder, "another server is at it"));
        }
        pause().await;
    }
}

/// One step. What it cannot lock at once it leaves, with all that it has, and tries again.
async fn apply(client: &Client, server: &str, version: i64, step: &Step) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::of(server, &error);
    let sql = format!("BEGIN; {}; COMMIT", applied(version, step));
    let (began, mut is_first) = (Instant::now(), true);
    loop {
        let error = match client.batch_execute(&sql).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let passes = matches!(error.code(), Some(&(SqlState::LOCK_NOT_AVAILABLE | SqlState::T_R_DEADLOCK_DETECTED)));
        if !passes {
            return Err(failed(error));
        }
        client.batch_execute("ROLLBACK").await.map_err(failed)?;
        let holder = client.query_opt(HOLDER, &[]).await.map_err(failed)?;
        let held = held(server, holder, "some session has a lock on a table that it changes");
        if began.elapsed() > PATIENCE {
            return Err(held);
        }
        if std::mem::take(&mut is_first) {
            tracing::warn!(error = %held, "the schema cannot be migrated yet; trying again");
        }
        pause().await;
    }
}

/// What keeps a migration from going on; the text that a query has made of it, or one in its place if it is over by now.
fn held(server: &str, row: Option<tokio_postgres::Row>, otherwise: &str) -> OpenError {
    let detail = row.and_then(|row| row.try_get::<_, Option<String>>(0).ok().flatten());
    OpenError::Held { server: server.to_owned(), detail: detail.unwrap_or_else(|| otherwise.to_owned()) }
}

/// By chance shorter or longer, or servers that have met would meet again.
async fn pause() {
    let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    sleep(PAUSE.mul_f64(0.5 + chance)).await;
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
