//! `roster import` and `roster export`: many users between a file and a server.
//!
//! `csv.rs`, `members.rs` and `source.rs` read a file, `fields.rs` knows what columns mean, `run.rs` sends rows and takes in
//! what became of them, `failed.rs` writes what is to be mended, `target.rs` knows what may be written over.

mod csv;
mod export;
mod failed;
mod fields;
mod import;
mod members;
mod retry;
mod run;
mod source;
mod target;

use std::{ffi::OsStr, path::Path};

use clap::ValueEnum;

pub use self::{export::Export, import::Import};

/// How users are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// A line a user, with the names of the columns in the first
    Csv,
    /// A JSON object a line
    Jsonl,
}

impl FileFormat {
    /// What the flag says, else what the name of the file does.
    fn choose(flag: Option<Self>, path: &Path, default: Self) -> Self {
        let by_name = || match path.extension().and_then(OsStr::to_str) {
            Some("csv") => Some(Self::Csv),
            Some("jsonl" | "ndjson" | "json") => Some(Self::Jsonl),
            _ => None,
        };
        flag.or_else(by_name).unwrap_or(default)
    }
}

/// Whether the path stands for stdin or stdout.
fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}
