//! The file with the rows that failed: like the file that they came from, with a column before the others that says why and
//! is ignored on the way back in. In front it is in its place beside rows that have too many fields or too few, too.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write as _},
    iter,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use serde_json::Value;

use super::{
    FileFormat, csv,
    fields::REASON,
    source::{Layout, Raw},
};
use crate::{
    error::{CliError, Failure},
    exit::Exit,
};

/// Made with the first row that fails.
pub struct FailedRows {
    path: Option<PathBuf>,
    format: FileFormat,
    delimiter: u8,
    /// The reason, then the columns that the rows came with.
    header: Vec<String>,
    /// Fields in front of the rows that give way to the reason: they failed before.
    old_reasons: usize,
    file: Option<BufWriter<File>>,
}

impl FailedRows {
    /// Into `path`; nowhere if there is none.
    pub fn new(path: Option<PathBuf>, layout: &Layout, mut header: Vec<String>) -> Self {
        let failed_before = header.first().is_some_and(|column| column == REASON);
        if !failed_before {
            header.insert(0, REASON.to_owned());
        }
        let old_reasons = usize::from(failed_before);
        Self { path, format: layout.format, delimiter: layout.delimiter, header, old_reasons, file: None }
    }

    /// Adds a row.
    pub fn add(&mut self, raw: &Raw, reason: &str) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                // Rows can have passwords in them.
                let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
                let file = open.map_err(|error| {
                    CliError::new(Exit::CannotCreate, format!("cannot create {}: {error}", path.display()))
                        .hint("name another file for the rows that fail with --failed FILE")
                })?;
                let file = empty.insert(BufWriter::new(file));
                if self.format == FileFormat::Csv {
                    csv::write_record(file, self.delimiter, self.header.iter().map(String::as_str))?;
                }
                file
            }
        };
        match (self.format, raw) {
            (FileFormat::Csv, Raw::Cells(cells)) => {
                let row = cells.iter().skip(self.old_reasons).map(String::as_str);
                csv::write_record(file, self.delimiter, iter::once(reason).chain(row))?;
            }
            (FileFormat::Csv, Raw::Line(line)) => {
                // One field more than there are columns: until it is mended, this is no row.
                let row = iter::once(line.as_str()).chain(iter::repeat_n("", self.header.len() - 1));
                csv::write_record(file, self.delimiter, iter::once(reason).chain(row))?;
            }
            (FileFormat::Jsonl, Raw::Line(line)) => match serde_json::from_str(line) {
                Ok(Value::Object(mut object)) => {
                    object.insert(REASON.to_owned(), reason.into());
                    writeln!(file, "{}", Value::Object(object))?;
                }
                // It is to be mended as it is.
                _ => writeln!(file, "{line}")?,
            },
            (FileFormat::Jsonl, Raw::Cells(_)) => {}
        }
        Ok(())
    }

    /// Writes what is left; gives the path if there is such a file.
    pub fn finish(mut self) -> Result<Option<PathBuf>, Failure> {
        let Some(file) = &mut self.file else { return Ok(None) };
        file.flush()?;
        Ok(self.path)
    }
}
