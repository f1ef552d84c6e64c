//! The schema, version by version. Each step is one transaction, so a step that is cut off has not happened.

mod messages;

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Marks a file as ours: `PRAGMA application_id`, "Rstr" in ASCII.
pub const APPLICATION_ID: i64 = 0x5273_7472;
/// Marks one that `roster copy` has not finished, "RstC": older Rosters take it for another program's.
pub const COPYING_ID: i64 = 0x5273_7443;

/// SQL, and what SQL cannot do, which runs after it.
type Step = (&'static str, fn(&Connection) -> rusqlite::Result<()>);

/// Step N brings the schema to version N; `PRAGMA user_version` holds the version reached.
const STEPS: &[Step] = &[
    (include_str!("migrations/0001_users.sql"), |_| Ok(())),
    (include_str!("migrations/0002_messages.sql"), messages::fill),
    (include_str!("migrations/0003_events.sql"), |_| Ok(())),
    (include_str!("migrations/0004_access.sql"), |_| Ok(())),
    (include_str!("migrations/0005_addresses.sql"), |_| Ok(())),
    (include_str!("migrations/0006_guards.sql"), |_| Ok(())),
    (include_str!("migrations/0007_mail.sql"), |_| Ok(())),
    (include_str!("migrations/0008_feed.sql"), |_| Ok(())),
    (include_str!("migrations/0009_imports.sql"), |_| Ok(())),
    (include_str!("migrations/0010_idempotency.sql"), |_| Ok(())),
];

/// The newest schema that this binary knows.
pub const NEWEST: i64 = STEPS.len() as i64;

/// Brings the schema from its version to [`NEWEST`].
pub(super) fn run(connection: &Connection) -> rusqlite::Result<()> {
    run_as(connection, APPLICATION_ID)
}

/// The same in a file that is marked otherwise.
pub(super) fn run_as(connection: &Connection, application_id: i64) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (number, (sql, then)) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > version) {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        then(&transaction)?;
        transaction.pragma_update(None, "application_id", application_id)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
