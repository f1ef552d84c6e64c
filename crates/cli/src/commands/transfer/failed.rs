//! The file with the rows that failed: like the file that they came from, with a column that says why, which is ignored on
//! the way back in.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    FileFormat, csv,
    fields::REASON,
    source::{Layout, Raw},
    target::{Place, create_private, open_stream},
};
use crate::{
    error::{CliError, Failure},
    exit::Exit,
};

/// Opens it. What an earlier run has left there is removed and not written over: it may have another name too.
fn open(path: &Path) -> Result<Box<dyn Write + Send>, CliError> {
    let failed = |error| {
        CliError::new(Exit::CannotCreate, format!("cannot create {}: {error}", path.display()))
            .hint("name another file for the rows that fail with --failed FILE")
    };
    match Place::find(path)? {
        Place::Stdout => Ok(Box::new(io::stdout())),
        Place::Stream(path) => Ok(Box::new(open_stream(&path).map_err(failed)?)),
        Place::File(path) => {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(failed(error));
            }
            Ok(Box::new(create_private(&path).map_err(failed)?))
        }
    }
}

/// Made with the first row that fails.
pub struct FailedRows {
    path: Option<PathBuf>,
    format: FileFormat,
    delimiter: u8,
    header: Vec<String>,
    /// Columns that the rows came with.
    columns: usize,
    /// Which column says why; one more than there were if none did.
    reason_at: usize,
    file: Option<BufWriter<Box<dyn Write + Send>>>,
}

impl FailedRows {
    /// Into `path`; nowhere if there is none.
    pub fn new(path: Option<PathBuf>, layout: &Layout, mut header: Vec<String>) -> Self {
        let columns = header.len();
        let reason_at = header.iter().position(|column| column == REASON).unwrap_or_else(|| {
            header.push(REASON.to_owned());
            header.len() - 1
        });
        Self { path, format: layout.format, delimiter: layout.delimiter, header, columns, reason_at, file: None }
    }

    /// Adds a row.
    pub fn add(&mut self, raw: &Raw, reason: &str) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                let file = empty.insert(BufWriter::new(open(path)?));
                if self.format == FileFormat::Csv {
                    csv::write_record(file, self.delimiter, self.header.iter().map(String::as_str))?;
                }
                file
            }
        };
        match (self.format, raw) {
            (FileFormat::Csv, Raw::Cells(cells)) => {
                // Of too many cells the last are kept together, so that none is lost and the reason is in its place.
                let last = self.columns.min(cells.len()).saturating_sub(1);
                let together = cells[last..].join(char::from(self.delimiter).to_string().as_str());
                let mut cells: Vec<&str> = cells[..last].iter().map(String::as_str).collect();
                cells.push(&together);
                cells.resize(self.header.len(), "");
                cells[self.reason_at] = reason;
                csv::write_record(file, self.delimiter, cells)?;
            }
            (FileFormat::Csv, Raw::Line(line)) => {
                let mut cells = vec![""; self.header.len()];
                cells[0] = line;
                cells[self.reason_at] = reason;
                csv::write_record(file, self.delimiter, cells)?;
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
