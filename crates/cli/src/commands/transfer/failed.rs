//! The file with the rows that failed: like the file that they came from, with a column before the others that says why and
//! is ignored on the way back in. In front it is in its place beside rows that have too many fields or too few, too. What is
//! no JSON object stands as it was, below an object that has the reason alone and is no row on the way back in.

use std::{
    fs,
    io::{self, BufWriter, Write},
    iter,
    path::{Path, PathBuf},
};

use super::{
    FileFormat, csv,
    fields::REASON,
    members::{Member, Members},
    source::{Layout, Raw},
    target::{Place, create_private, open_stream},
};
use crate::{
    error::{CliError, Failure},
    exit::Exit,
};

/// What to do where the file cannot be.
const ELSEWHERE: &str = "name another file for the rows that fail with --failed FILE";

/// Opens it, and says where the file is now that was there before.
fn open(path: &Path) -> Result<(Box<dyn Write + Send>, Option<PathBuf>), CliError> {
    let failed =
        |error| CliError::new(Exit::CannotCreate, format!("cannot create {}: {error}", path.display())).hint(ELSEWHERE);
    Ok(match Place::find(path)? {
        Place::Stdout => (Box::new(io::stdout()), None),
        Place::Stream(path) => (Box::new(open_stream(&path).map_err(failed)?), None),
        Place::File(path) => {
            let older = set_aside(&path)?;
            (Box::new(create_private(&path).map_err(failed)?), older)
        }
    })
}

/// Made with the first row that fails.
pub struct FailedRows {
    path: Option<PathBuf>,
    format: FileFormat,
    delimiter: u8,
    /// The reason, then the columns that the rows came with.
    header: Vec<String>,
    /// Fields in front of the rows that give way to the reason: they failed before.
    old_reasons: usize,
    file: Option<BufWriter<Box<dyn Write + Send>>>,
    /// Where the file is now that was there before.
    older: Option<PathBuf>,
}

/// What there is at the end where rows that fail go.
pub enum FailedFile {
    /// Those of this run, and perhaps the older file, under another name.
    Written {
        path: PathBuf,
        older: Option<PathBuf>,
    },
    /// A file that was there before, as it was.
    Older(PathBuf),
    None,
}

impl FailedRows {
    /// Into `path`; nowhere if there is none.
    pub fn new(path: Option<PathBuf>, layout: &Layout, mut header: Vec<String>) -> Self {
        let failed_before = header.first().is_some_and(|column| column == REASON);
        if !failed_before {
            header.insert(0, REASON.to_owned());
        }
        let old_reasons = usize::from(failed_before);
        Self { path, format: layout.format, delimiter: layout.delimiter, header, old_reasons, file: None, older: None }
    }

    /// Adds a row.
    pub fn add(&mut self, raw: &Raw, reason: &str) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                let (file, older) = open(path)?;
                self.older = older;
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
            (FileFormat::Jsonl, Raw::Line(line)) => {
                let Members(mut members) = serde_json::from_str(line).map_err(io::Error::from)?;
                members.retain(|(key, _)| key != REASON);
                let is_empty = members.is_empty();
                write_object(file, reason, members)?;
                if is_empty {
                    // By itself the reason would be no row.
                    writeln!(file, "{line}")?;
                }
            }
            (FileFormat::Jsonl, Raw::Bytes(line)) => {
                // It is to be mended as it is.
                write_object(file, reason, Vec::new())?;
                file.write_all(line)?;
                file.write_all(b"\n")?;
            }
            (FileFormat::Jsonl, Raw::Cells(_)) | (FileFormat::Csv, Raw::Bytes(_)) => {}
        }
        Ok(())
    }

    /// Writes what is left, and says what there is then.
    pub fn finish(self) -> (FailedFile, Result<(), Failure>) {
        match (self.path, self.file) {
            (Some(path), Some(mut file)) => {
                let written = file.flush().map_err(Failure::from);
                (FailedFile::Written { path, older: self.older }, written)
            }
            (Some(path), None) if has_something(&path) => (FailedFile::Older(path), Ok(())),
            _ => (FailedFile::None, Ok(())),
        }
    }
}

/// Writes the members of an object behind the reason.
fn write_object(file: &mut impl Write, reason: &str, mut members: Vec<(String, Member)>) -> io::Result<()> {
    members.insert(0, (REASON.to_owned(), Member::Other(reason.into())));
    writeln!(file, "{}", serde_json::to_string(&Members(members))?)
}

/// Whether it is a file, and not a device or a pipe, with anything in it.
fn has_something(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.len() > 0)
}

/// Gives what is in the place of the new file another name, as somebody may have begun to mend it: `x.failed.1.csv` or the
/// next number that is free. Gives the name.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, CliError> {
    let cannot = |error: io::Error| {
        let message = format!("cannot create {}: what is there cannot be put aside: {error}", path.display());
        CliError::new(Exit::CannotCreate, message).hint(ELSEWHERE)
    };
    if !has_something(path) {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot(error)),
            _ => Ok(None),
        };
    }
    let numbered = |number: u32| match path.extension() {
        Some(extension) => path.with_extension(format!("{number}.{}", extension.display())),
        None => path.with_extension(number.to_string()),
    };
    let free = (1..).map(numbered).find(|name| name.symlink_metadata().is_err());
    let older = free.ok_or_else(|| cannot(io::ErrorKind::AlreadyExists.into()))?;
    fs::rename(path, &older).map_err(cannot)?;
    Ok(Some(older))
}
