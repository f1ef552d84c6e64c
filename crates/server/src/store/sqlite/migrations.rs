//! The schema, version by version. Each step is one transaction, so a step that is cut off has not happened.

use rusqlite::Connection;

/// Marks a file as ours: `PRAGMA application_id`, "Rstr" in ASCII.
pub const APPLICATION_ID: i64 = 0x5273_7472;

/// Step N brings the schema to version N; `PRAGMA user_version` holds the version reached.
const STEPS: &[&str] = &[
    include_str!("migrations/0001_users.sql"),
    include_str!("migrations/0002_events.sql"),
    include_str!("migrations/0003_access.sql"),
    include_str!("migrations/0004_mail.sql"),
];

/// The newest schema that this binary knows.
pub const NEWEST: i64 = STEPS.len() as i64;

/// Brings the schema from its version to [`NEWEST`].
pub(super) fn run(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (number, step) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > version) {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;\n{step}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;"
        ))?;
    }
    Ok(())
}
