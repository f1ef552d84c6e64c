//! A database that is copied from, while no server serves it.
//!
//! Its tables are locked against writers, and read as of the moment when all locks were there. So a server that starts
//! meanwhile can change nothing; and if one has, it is not served by then.

use std::{
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use super::{
    rows::{self, Failed},
    session::{Session, is_of_lock},
};
use crate::store::{
    copy::{self, CopyError, Mark, TABLES, Table, Tables, Take},
    postgres::{OpenError, PostgresUrl, migrations},
};

/// Every server has one such session; see `log/follower.rs`.
const SERVERS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'roster log'";
/// Ends what servers do by and by: see `commands/erase_history.rs`. Nobody is served meanwhile, so it is done at once.
const ERASE: &str = "BEGIN;
    UPDATE changes c SET before = NULL, after = NULL, remote_address = '' FROM erasures e
        WHERE c.user_id = e.user_id AND c.seq < e.seq
          AND (c.before IS NOT NULL OR c.after IS NOT NULL OR c.remote_address <> '');
    UPDATE changes c SET remote_address = '' FROM erasures e
        WHERE c.actor = e.actor AND c.by_another AND c.seq < e.seq AND c.remote_address <> '';
    DELETE FROM erasures;
    COMMIT";
/// How long sessions of servers that have ended may linger.
const LINGER: Duration = Duration::from_secs(3);
/// How often it is looked for them.
const LOOK: Duration = Duration::from_millis(50);

/// The database, locked.
pub(in crate::store) struct Source {
    session: Session,
}

impl Source {
    /// Gives every row of the log its position and ends the erasure of long histories, which a server would do next, and
    /// changes nothing else.
    pub(in crate::store) fn open(url: &PostgresUrl) -> Result<Self, CopyError> {
        let source = Self { session: Session::open(url)? };
        let session = &source.session;
        match session.block_on(migrations::version(&session.client, &session.server))? {
            Some(migrations::NEWEST) => {}
            Some(found) => {
                return Err(CopyError::Schema { database: session.name.clone(), found, known: migrations::NEWEST });
            }
            None => return Err(CopyError::EmptySource { database: session.name.clone() }),
        }
        let until = Instant::now() + LINGER;
        while let Err(error) = source.refuse_servers() {
            if Instant::now() >= until {
                return Err(error);
            }
            thread::sleep(LOOK);
        }
        source.lock()?;
        Ok(source)
    }

    /// Fails while servers are connected.
    fn refuse_servers(&self) -> Result<(), CopyError> {
        let session = &self.session;
        let count = session.block_on(session.client.query_one(SERVERS, &[])).map_err(|e| session.cannot_read(&e))?;
        match count.get::<_, i64>(0) {
            0 => Ok(()),
            1 => Err(session.in_use("a server serves it")),
            count => Err(session.in_use(format!("{count} servers serve it"))),
        }
    }

    fn lock(&self) -> Result<(), CopyError> {
        let session = &self.session;
        let tables: Vec<_> =
            TABLES.iter().map(|table| table.name).chain(["positions", "unnumbered", "erasures"]).collect();
        // The snapshot is taken by the first statement after the locks.
        let lock = format!("BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE {} IN SHARE MODE", tables.join(", "));
        let waiting = session.block_on(async {
            session.client.simple_query("SELECT number_changes(TRUE)").await?;
            session.client.batch_execute(ERASE).await?;
            session.client.batch_execute(&lock).await?;
            session.client.query_one("SELECT count(*) FROM unnumbered", &[]).await
        });
        match waiting {
            Ok(row) if row.get::<_, i64>(0) == 0 => Ok(()),
            Ok(_) => Err(session.in_use("somebody writes to it")),
            Err(error) if is_of_lock(&error) => Err(session.in_use("somebody writes to it")),
            Err(error) => Err(OpenError::of(&session.server, &error).into()),
        }
    }

    fn failed(&self, failed: Failed, table: &'static str) -> CopyError {
        match failed {
            Failed::Server(error) => self.session.cannot_read(&error),
            Failed::Value(detail) => CopyError::Unfit { table, detail },
        }
    }
}

impl Tables for Source {
    fn count(&mut self, table: &Table) -> Result<u64, CopyError> {
        let counted = self.session.block_on(rows::count(&self.session.client, table));
        counted.map_err(|error| self.session.cannot_read(&error))
    }

    fn read(&mut self, table: &'static Table, after: Option<&[u8]>, take: Take<'_>) -> Result<(), CopyError> {
        let read = self.session.block_on(rows::read(&self.session.client, table, after, take));
        read.map_err(|error| self.failed(error, table.name))
    }
}

impl copy::Source for Source {
    fn mark(&mut self) -> Result<Mark, CopyError> {
        const SQL: &str = "SELECT value, (SELECT coalesce(max(position), 0) FROM positions)
            FROM secrets WHERE name = 'database'";
        let session = &self.session;
        let row = session.block_on(session.client.query_one(SQL, &[])).map_err(|error| session.cannot_read(&error))?;
        Ok(Mark { source: Sha256::digest(row.get::<_, &[u8]>(0)).into(), position: row.get(1) })
    }

    /// The locks have let nobody write, but whoever waits for them would go on as soon as they are gone.
    fn still_stands(&mut self) -> Result<(), CopyError> {
        self.refuse_servers()
    }
}
