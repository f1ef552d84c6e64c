//! Moves a database from one backend to the other: [`copy()`].
//!
//! Every table is read in the order of its key and written in pieces, each in a transaction. So what a killed copy has left
//! is the first rows of each table, and the next one goes on behind them. The destination is marked as unfinished, and no
//! server starts on it, until all tables of both were read once more and have the same rows.
//!
//! The source must stand still: it is locked, as long as the copy takes, by each backend's own means.

mod error;
mod row;
mod tables;
mod verify;

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

pub use self::{
    error::CopyError,
    tables::{Column, LEFT, Left, TABLES, Table},
    verify::{Checksum, TableCheck},
};
pub(in crate::store) use self::{
    row::{Batch, Cell, Cells, TEXT_ID, UUID_ID},
    tables::{Kind, names},
};
use super::{
    postgres::{self, PostgresUrl},
    sqlite,
};

/// Batches that wait to be written.
const WAITING_MAX: usize = 2;

/// A database to copy from or to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PostgresUrl>),
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The source is looked at before anything is copied.
    Checking,
    /// Rows were written.
    Copied {
        /// The table whose turn it is.
        table: &'static str,
        /// Rows of all tables that this run has written.
        rows: u64,
        /// How many it has to write in all.
        of: u64,
    },
    /// All rows are there; what speeds up finding them is made.
    Indexing,
    /// Rows of both were compared.
    Verified {
        /// Rows of all tables.
        rows: u64,
        /// Of so many.
        of: u64,
    },
}

/// What a run has found where it was to copy to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing.
    Afresh,
    /// An interrupted copy of this source, which it went on with.
    After {
        /// Rows that were there.
        rows: u64,
    },
    /// One that was of no more use, because the source has changed since. It was thrown away.
    Anew,
}

/// A copy that was made.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Every table, with what both databases have.
    pub tables: Vec<TableCheck>,
    /// What was there before.
    pub begun: Begun,
}

/// Tells an unfinished copy of one source from that of another, and from that of a later state of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Mark {
    /// A hash of what tells the source from all other databases.
    pub(in crate::store) source: [u8; 32],
    /// The end of its change log.
    pub(in crate::store) position: i64,
}

/// Takes a piece of a table; `false` if no more is wanted.
pub(in crate::store) type Take<'a> = &'a mut dyn FnMut(Batch) -> bool;

/// One of the two databases, read.
pub(in crate::store) trait Tables: Send {
    /// Rows of the table that are copied.
    fn count(&mut self, table: &Table) -> Result<u64, CopyError>;

    /// Reads the table in the order of its key: all of it, or what comes after a key.
    fn read(&mut self, table: &'static Table, after: Option<&[u8]>, take: Take<'_>) -> Result<(), CopyError>;
}

/// Where it is copied from. Nobody changes it while this is there.
pub(in crate::store) trait Source: Tables {
    /// Which database it is, and how far its log goes.
    fn mark(&mut self) -> Result<Mark, CopyError>;

    /// Fails if somebody means to change it.
    fn still_stands(&mut self) -> Result<(), CopyError>;
}

/// Where it is copied to: empty, or an unfinished copy. Nobody else copies to it while this is there.
pub(in crate::store) trait Destination: Tables {
    /// The key of the last row of a table; `None` if there is none.
    fn last_key(&mut self, table: &Table) -> Result<Option<Vec<u8>>, CopyError>;

    /// Adds rows that come after all that are there, in one transaction.
    fn write(&mut self, table: &'static Table, batch: &Batch) -> Result<(), CopyError>;

    /// Makes what was left out for the sake of speed, once all rows are there. May be done again.
    fn settle(&mut self) -> Result<(), CopyError>;

    /// Has the next run begin anew.
    fn spoil(&mut self) -> Result<(), CopyError>;

    /// Lets servers start on it.
    fn finish(&mut self) -> Result<(), CopyError>;
}

/// Copies everything, or what an interrupted copy has left, and compares both. Blocks; not to be called within a runtime.
///
/// # Errors
/// What is in the way. After most errors the same call goes on where it was.
pub fn copy(from: &Place, to: &Place, tell: &mut dyn FnMut(Progress)) -> Result<Copied, CopyError> {
    match (from, to) {
        (Place::Sqlite(from), Place::Postgres(to)) => {
            tell(Progress::Checking);
            let mut source = sqlite::copy::Source::open(from)?;
            let mark = source.mark()?;
            let (mut destination, begun) = postgres::copy::Destination::open(to, mark)?;
            run(&mut source, &mut destination, begun, tell)
        }
        (Place::Postgres(from), Place::Sqlite(to)) => {
            tell(Progress::Checking);
            let mut source = postgres::copy::Source::open(from)?;
            let mark = source.mark()?;
            let (mut destination, begun) = sqlite::copy::Destination::open(to, mark)?;
            run(&mut source, &mut destination, begun, tell)
        }
        (Place::Sqlite(_), Place::Sqlite(_)) => Err(CopyError::OneKind { kind: "SQLite files" }),
        (Place::Postgres(_), Place::Postgres(_)) => Err(CopyError::OneKind { kind: "PostgreSQL databases" }),
    }
}

/// `begun` says whether the destination was begun anew.
fn run(
    source: &mut dyn Source,
    destination: &mut dyn Destination,
    begun: Begun,
    tell: &mut dyn FnMut(Progress),
) -> Result<Copied, CopyError> {
    let (total, there) = (count(source)?, count(destination)?);
    let mut written = 0;
    for table in TABLES {
        let mut tell = |rows: u64| {
            written += rows;
            tell(Progress::Copied { table: table.name, rows: written, of: total.saturating_sub(there) });
        };
        transfer(source, destination, table, &mut tell)?;
    }
    tell(Progress::Indexing);
    destination.settle()?;
    let tables = verify::compare(source, destination, total, tell)?;
    if !tables.iter().all(TableCheck::agrees) {
        destination.spoil()?;
        return Err(CopyError::Differs(tables));
    }
    source.still_stands()?;
    destination.finish()?;
    let begun = if there > 0 { Begun::After { rows: there } } else { begun };
    Ok(Copied { tables, begun })
}

fn count(tables: &mut (impl Tables + ?Sized)) -> Result<u64, CopyError> {
    TABLES.iter().map(|table| tables.count(table)).sum()
}

/// Copies what the destination lacks of a table; the source is read while rows are written.
fn transfer(
    source: &mut dyn Source,
    destination: &mut dyn Destination,
    table: &'static Table,
    tell: &mut dyn FnMut(u64),
) -> Result<(), CopyError> {
    let after = destination.last_key(table)?;
    let (sender, batches) = sync_channel(WAITING_MAX);
    thread::scope(|scope| {
        let reader = scope.spawn(move || source.read(table, after.as_deref(), &mut |batch| sender.send(batch).is_ok()));
        // Its end is also the reader's: nobody takes its batches any more.
        let written = write_all(destination, table, batches, tell);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(read)
    })
}

fn write_all(
    destination: &mut dyn Destination,
    table: &'static Table,
    batches: Receiver<Batch>,
    tell: &mut dyn FnMut(u64),
) -> Result<(), CopyError> {
    for batch in batches {
        destination.write(table, &batch)?;
        tell(batch.rows());
    }
    Ok(())
}
