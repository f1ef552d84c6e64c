//! The limit of the store: rusqlite with nothing around it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rusqlite::{Connection, params};

use crate::users::{Random, fragment, person};

/// The least that a store of users needs: the columns of a plain user, found by id and by email.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE users (
        pk INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        role INTEGER NOT NULL, status INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
    ) STRICT";
const INSERT: &str =
    "INSERT INTO users (id, email, name, role, status, created_at, updated_at) VALUES (?1, ?2, ?3, 1, 1, ?4, ?4)";

/// What a search that looks at every row is to find.
#[derive(Clone, Copy)]
pub enum Scan {
    /// How many names have the letters.
    Names,
    /// The first page of those whose name or email has them, and how many there are: what a search answers, usernames aside.
    Page,
}

impl Scan {
    fn sql(self) -> &'static str {
        match self {
            Self::Names => "SELECT count(*) FROM users WHERE name LIKE ?1",
            Self::Page => {
                "SELECT id, email, name, role, status, created_at, updated_at, count(*) OVER () FROM users
                 WHERE name LIKE ?1 OR email LIKE ?1 ORDER BY id LIMIT 20"
            }
        }
    }
}

/// A database file of this benchmark's own.
pub struct Limit {
    connection: Connection,
    rows: u64,
}

impl Limit {
    /// Makes the file anew.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection, rows: 0 })
    }

    /// One durable commit per insert, one after the other: nanoseconds of each.
    pub fn commits(&mut self, duration: Duration) -> anyhow::Result<Histogram<u64>> {
        let mut latency = Histogram::new(3)?;
        let begun = Instant::now();
        while begun.elapsed() < duration {
            let start = Instant::now();
            self.insert()?;
            latency.record(start.elapsed().as_nanos() as u64)?;
        }
        Ok(latency)
    }

    /// Adds users in one transaction.
    pub fn fill(&mut self, users: usize) -> anyhow::Result<()> {
        self.connection.execute_batch("BEGIN")?;
        for _ in 0..users {
            self.insert()?;
        }
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    /// A user by id, drawn at random: nanoseconds of each.
    pub fn point_reads(&self, duration: Duration) -> anyhow::Result<Histogram<u64>> {
        let mut latency = Histogram::new(3)?;
        let mut random = Random::new(1);
        let mut select = self.connection.prepare("SELECT email, name, created_at FROM users WHERE id = ?1")?;
        let begun = Instant::now();
        while begun.elapsed() < duration {
            let start = Instant::now();
            let id = id(random.below(self.rows as usize) as u64);
            let _: (String, String, i64) = select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            latency.record(start.elapsed().as_nanos() as u64)?;
        }
        Ok(latency)
    }

    /// Seven letters anywhere, found by looking at every row: nanoseconds of each search.
    pub fn scans(&self, scan: Scan, duration: Duration) -> anyhow::Result<Histogram<u64>> {
        let mut latency = Histogram::new(3)?;
        let mut random = Random::new(2);
        let mut select = self.connection.prepare(scan.sql())?;
        let begun = Instant::now();
        while begun.elapsed() < duration {
            let start = Instant::now();
            let mut rows = select.query([format!("%{}%", fragment(&mut random))])?;
            while rows.next()?.is_some() {}
            latency.record(start.elapsed().as_nanos() as u64)?;
        }
        Ok(latency)
    }

    fn insert(&mut self) -> anyhow::Result<()> {
        let person = person(self.rows);
        let time = 1_790_000_000_000_000_i64 + self.rows as i64;
        let mut insert = self.connection.prepare_cached(INSERT)?;
        insert.execute(params![id(self.rows), person.email, person.name, time])?;
        self.rows += 1;
        Ok(())
    }
}

/// Ids in the order of their making, as UUIDs of version 7 are.
fn id(number: u64) -> [u8; 16] {
    (u128::from(number) << 64 | u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))).to_be_bytes()
}
