//! The store in SQLite.

pub mod sql;
