//! Both databases are read once more, and what they have is compared.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use aws_lc_rs::digest::{Context, SHA256};

use super::{CopyError, Destination, Progress, Source, TABLES, Table, Tables};

/// A table in both databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableCheck {
    /// Its name.
    pub table: &'static str,
    /// What the source has.
    pub source: Checksum,
    /// What the copy has.
    pub copy: Checksum,
}

impl TableCheck {
    /// Whether both have the same.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.source == self.copy
    }
}

/// What a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Rows.
    pub rows: u64,
    /// SHA-256 of all rows in the order of their keys, in the encoding of `store/copy/row.rs`.
    pub sha256: [u8; 32],
}

/// In hexadecimal digits; a precision says how many.
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = self.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        f.pad(&digits)
    }
}

/// Reads all tables of both, at the same time.
pub(super) fn compare(
    source: &mut dyn Source,
    destination: &mut dyn Destination,
    total: u64,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<TableCheck>, CopyError> {
    // Whoever fails first has the other stop.
    let failed = &AtomicBool::new(false);
    thread::scope(|scope| {
        let expected = scope.spawn(move || checksums(source, failed, &mut |_| {}));
        let mut rows = 0;
        let found = checksums(destination, failed, &mut |more| {
            rows += more;
            tell(Progress::Verified { rows, of: total });
        });
        let expected = expected.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let checks = TABLES.iter().zip(expected).zip(found?);
        Ok(checks.map(|((table, source), copy)| TableCheck { table: table.name, source, copy }).collect())
    })
}

fn checksums(
    tables: &mut (impl Tables + ?Sized),
    failed: &AtomicBool,
    tell: &mut dyn FnMut(u64),
) -> Result<Vec<Checksum>, CopyError> {
    let all: Result<Vec<_>, CopyError> = TABLES.iter().map(|table| checksum(tables, table, failed, tell)).collect();
    if all.is_err() {
        failed.store(true, Ordering::Relaxed);
    }
    all
}

fn checksum(
    tables: &mut (impl Tables + ?Sized),
    table: &'static Table,
    failed: &AtomicBool,
    tell: &mut dyn FnMut(u64),
) -> Result<Checksum, CopyError> {
    let (mut hash, mut rows) = (Context::new(&SHA256), 0);
    tables.read(table, None, &mut |batch| {
        hash.update(batch.as_bytes());
        rows += batch.rows();
        tell(batch.rows());
        !failed.load(Ordering::Relaxed)
    })?;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.finish().as_ref());
    Ok(Checksum { rows, sha256 })
}
