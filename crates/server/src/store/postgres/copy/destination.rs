//! A database that is copied into. While it is unfinished it has a table that says so, by which every server refuses it; to
//! a Roster from before that table it is another program's.

use tokio_postgres::Error;

use super::{
    rows::{self, Failed},
    session::{Session, is_of_lock},
};
use crate::store::{
    copy::{self, Batch, Begun, CopyError, Mark, TABLES, Table, Tables, Take},
    postgres::{OpenError, PostgresUrl, migrations},
};

/// Held by whoever copies; "copy" in ASCII.
const LOCK: i64 = 0x636f_7079;

/// What makes an empty database an unfinished copy, after the schema. Indexes are made when all rows are there: to add to
/// them row by row takes longer. Those that a table cannot be without stay.
const BEGIN: &str = "
    ALTER TABLE roster_schema RENAME TO roster_copy_schema;
    CREATE TABLE roster_copy (
        source   BYTEA NOT NULL,                 -- a hash of what tells the source from other databases
        position BIGINT NOT NULL,                -- the end of its change log
        spoilt   BOOLEAN NOT NULL DEFAULT FALSE  -- the next run begins anew
    );
    CREATE TABLE roster_copy_indexes (name TEXT PRIMARY KEY, definition TEXT NOT NULL);
    INSERT INTO roster_copy_indexes
        SELECT i.relname, pg_get_indexdef(i.oid)
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        WHERE i.relnamespace = current_schema()::REGNAMESPACE
          AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid);
    DO $$
    DECLARE name TEXT;
    BEGIN
        FOR name IN SELECT i.name FROM roster_copy_indexes i LOOP
            EXECUTE format('DROP INDEX %I', name);
        END LOOP;
    END
    $$;";

/// The other way round. Sequences go on behind the last row.
const SETTLE: &str = "
    DO $$
    DECLARE missing RECORD;
    BEGIN
        FOR missing IN SELECT * FROM roster_copy_indexes LOOP
            IF to_regclass(quote_ident(missing.name)) IS NULL THEN
                EXECUTE missing.definition;
            END IF;
        END LOOP;
    END
    $$;
    SELECT setval(pg_get_serial_sequence('users', 'pk'), greatest(max(pk), 1), max(pk) IS NOT NULL) FROM users;
    SELECT setval(pg_get_serial_sequence('changes', 'seq'), greatest(max(seq), 1), max(seq) IS NOT NULL) FROM changes;
    SELECT setval(pg_get_serial_sequence('imports', 'pk'), greatest(max(pk), 1), max(pk) IS NOT NULL) FROM imports;";

const FINISH: &str = "BEGIN;
    DROP TABLE roster_copy;
    DROP TABLE roster_copy_indexes;
    ALTER TABLE roster_copy_schema RENAME TO roster_schema;
    COMMIT";

/// The database, locked against other copies.
pub(in crate::store) struct Destination {
    session: Session,
}

impl Destination {
    /// Makes the schema, or goes on with what an interrupted copy of this source has left. Anything else is left as it is.
    pub(in crate::store) fn open(url: &PostgresUrl, mark: Mark) -> Result<(Self, Begun), CopyError> {
        let session = Session::open(url)?;
        let locked = session.block_on(session.client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]));
        locked.map_err(|error| match is_of_lock(&error) {
            true => session.in_use("another process copies into it"),
            false => OpenError::of(&session.server, &error).into(),
        })?;
        let begun = match Self::found(&session)? {
            None => {
                let started = session.block_on(migrations::run_then(&session.client, &session.server, &begin(mark)));
                started?;
                Begun::Afresh
            }
            Some((found, schema, spoilt)) if found.source == mark.source => {
                if schema != migrations::NEWEST {
                    let (database, known) = (session.name.clone(), migrations::NEWEST);
                    return Err(CopyError::Schema { database, found: schema, known });
                }
                if spoilt || found.position != mark.position {
                    let emptied = session.block_on(session.client.batch_execute(&begin_anew(mark)));
                    emptied.map_err(|error| session.cannot_write(&error))?;
                    Begun::Anew
                } else {
                    Begun::Afresh
                }
            }
            Some(_) => {
                let detail = "it has an unfinished copy of another database".to_owned();
                return Err(CopyError::NotEmpty { database: session.name, detail });
            }
        };
        Ok((Self { session }, begun))
    }

    /// What an interrupted copy has left, with the version of its schema and whether it is of no more use; `None` if there
    /// is nothing at all.
    fn found(session: &Session) -> Result<Option<(Mark, i64, bool)>, CopyError> {
        let (client, server) = (&session.client, session.server.as_str());
        match session.block_on(migrations::version(client, server)) {
            Ok(None) => return Ok(None),
            Err(OpenError::HalfCopied { .. }) => {}
            Ok(Some(_)) => {
                let detail = "it has a Roster database already".to_owned();
                return Err(CopyError::NotEmpty { database: session.name.clone(), detail });
            }
            Err(OpenError::NotOurs { detail, .. }) => {
                return Err(CopyError::NotEmpty { database: session.name.clone(), detail });
            }
            Err(error) => return Err(error.into()),
        }
        const SQL: &str =
            "SELECT source, position, spoilt, (SELECT max(version) FROM roster_copy_schema) FROM roster_copy";
        let row = session.block_on(client.query_one(SQL, &[])).map_err(|error| session.cannot_read(&error))?;
        let source = row.get::<_, &[u8]>(0).try_into().unwrap_or_default();
        Ok(Some((Mark { source, position: row.get(1) }, row.get(3), row.get(2))))
    }

    fn execute(&self, sql: &str) -> Result<(), CopyError> {
        let done = self.session.block_on(self.session.client.batch_execute(sql));
        done.map_err(|error| self.session.cannot_write(&error))
    }

    fn failed(&self, failed: Failed, table: &'static str, of_server: fn(&Session, &Error) -> CopyError) -> CopyError {
        match failed {
            Failed::Server(error) => of_server(&self.session, &error),
            Failed::Value(detail) => CopyError::Unfit { table, detail },
        }
    }
}

/// What follows the schema in its transaction.
fn begin(Mark { source, position }: Mark) -> String {
    format!("{BEGIN} INSERT INTO roster_copy (source, position) VALUES ('\\x{}', {position});", hex(&source))
}

/// The row by which this database is known stays.
fn begin_anew(Mark { position, .. }: Mark) -> String {
    let all = TABLES.iter().map(|table| table.name).filter(|name| *name != "secrets");
    let all: Vec<_> = all.chain(["positions", "unnumbered"]).collect();
    format!(
        "BEGIN; TRUNCATE {}; DELETE FROM secrets WHERE name <> 'database';
         UPDATE roster_copy SET position = {position}, spoilt = FALSE; COMMIT",
        all.join(", ")
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Tables for Destination {
    fn count(&mut self, table: &Table) -> Result<u64, CopyError> {
        let counted = self.session.block_on(rows::count(&self.session.client, table));
        counted.map_err(|error| self.session.cannot_read(&error))
    }

    fn read(&mut self, table: &'static Table, after: Option<&[u8]>, take: Take<'_>) -> Result<(), CopyError> {
        let read = self.session.block_on(rows::read(&self.session.client, table, after, take));
        read.map_err(|error| self.failed(error, table.name, Session::cannot_read))
    }
}

impl copy::Destination for Destination {
    fn last_key(&mut self, table: &Table) -> Result<Option<Vec<u8>>, CopyError> {
        let key = self.session.block_on(rows::last_key(&self.session.client, table));
        key.map_err(|error| self.failed(error, "a table", Session::cannot_read))
    }

    fn write(&mut self, table: &'static Table, batch: &Batch) -> Result<(), CopyError> {
        let client = &self.session.client;
        let written = self.session.block_on(async {
            client.batch_execute("BEGIN").await?;
            rows::write(client, table, batch).await?;
            Ok(client.batch_execute("COMMIT").await?)
        });
        written.map_err(|error| self.failed(error, table.name, Session::cannot_write))
    }

    fn settle(&mut self) -> Result<(), CopyError> {
        self.execute(SETTLE)?;
        // Plans are made for what is there from the first query on.
        let all: Vec<_> = TABLES.iter().map(|table| table.name).chain(["positions"]).collect();
        self.execute(&format!("ANALYZE {}", all.join(", ")))
    }

    fn spoil(&mut self) -> Result<(), CopyError> {
        self.execute("UPDATE roster_copy SET spoilt = TRUE")
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        self.execute(FINISH)
    }
}
