//! The rows of a file, read and put together on a thread of their own, a few ahead of what is sent.

use std::{
    collections::HashSet,
    io::{BufRead, Read},
};

use prost::Message as _;
use roster_api::user::v1::ImportRow;
use tokio::sync::mpsc;

use super::{
    FileFormat,
    csv::{self, LINE_BYTES_MAX, Line, Lines},
    fields::{Draft, REASON, Target, target},
    members::{Member, Members},
};
use crate::{error::CliError, exit::Exit};

/// Rows that are read ahead.
const AHEAD_ROWS: usize = 256;

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct Layout {
    pub format: FileFormat,
    pub delimiter: u8,
    /// Columns that are called otherwise than their fields.
    pub maps: Vec<(String, String)>,
}

/// A row as it stands in the file.
#[derive(Debug)]
pub enum Raw {
    Cells(Vec<String>),
    /// A line of CSV that cannot be split, or a JSON object.
    Line(String),
    /// A line that is no JSON object, to the byte.
    Bytes(Vec<u8>),
}

/// A row of the file.
#[derive(Debug)]
pub struct Item {
    /// The line that it begins on.
    pub number: i64,
    pub raw: Raw,
    /// The row to send; or what is wrong with it.
    pub row: Result<ImportRow, String>,
    /// Bytes of the file up to its end.
    pub offset: u64,
}

/// A file that is read.
pub struct Source {
    /// The names of the columns; none in JSON.
    pub header: Vec<String>,
    pub items: mpsc::Receiver<Result<Item, CliError>>,
}

impl Source {
    /// Reads the header and begins with the rows.
    pub fn start(name: &str, input: Box<dyn Read + Send>, layout: Layout) -> Result<Self, CliError> {
        let mut input = std::io::BufReader::with_capacity(1 << 16, input);
        let name = name.to_owned();
        let start = input.fill_buf().map_err(|error| cannot_read(&name, &error))?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(in_utf16(&name));
        }
        let mut lines = Lines::new(input);
        let (header, targets) = match layout.format {
            FileFormat::Csv => read_header(&name, &mut lines, &layout)?,
            FileFormat::Jsonl => (Vec::new(), Vec::new()),
        };
        let (items, receiver) = mpsc::channel(AHEAD_ROWS);
        let columns = header.clone();
        let read = move || {
            loop {
                let next = match layout.format {
                    FileFormat::Csv => next_csv(&mut lines, layout.delimiter, &columns, &targets),
                    FileFormat::Jsonl => next_json(&mut lines, &layout.maps),
                };
                let next = match next {
                    Ok(None) => return,
                    Ok(Some(item)) => Ok(item),
                    Err(error) => Err(cannot_read(&name, &error)),
                };
                let is_last = next.is_err();
                // Nobody listens any more: the import has ended early.
                if items.blocking_send(next).is_err() || is_last {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("import-file".into())
            .spawn(read)
            .map_err(|error| CliError::new(Exit::Internal, format!("cannot start a thread: {error}")))?;
        Ok(Self { header, items: receiver })
    }
}

fn in_utf16(name: &str) -> CliError {
    let error = CliError::new(Exit::Data, format!("{name} is in UTF-16, or no text"));
    error.hint("save it as UTF-8, or: iconv -f UTF-16 -t UTF-8")
}

fn cannot_read(name: &str, error: &std::io::Error) -> CliError {
    CliError::new(Exit::Io, format!("cannot read {name}: {error}"))
}

/// The names of the columns, and where each goes.
fn read_header<R: BufRead>(
    name: &str,
    lines: &mut Lines<R>,
    layout: &Layout,
) -> Result<(Vec<String>, Vec<Target>), CliError> {
    let wrong = |message: String| CliError::new(Exit::Data, message);
    let header = csv::next_record(lines, layout.delimiter, &[]).map_err(|error| cannot_read(name, &error))?;
    let Some(header) = header else {
        return Err(wrong(format!("{name} is empty")).hint("its first line is to name the columns, such as email,name"));
    };
    let line = header.line;
    let header = header.cells.map_err(|(_, problem)| wrong(format!("line {line} of {name}: {problem}")))?;
    if header.iter().any(|column| column.contains('\0')) {
        return Err(in_utf16(name));
    }
    let mut targets = Vec::new();
    for column in &header {
        let target = target(column, &layout.maps).map_err(|problem| {
            let other = [';', '\t', '|'].into_iter().find(|other| header.len() == 1 && column.contains(*other));
            let hint = match other {
                None => "name the field with --map 'COLUMN=FIELD', or leave the column out with --map 'COLUMN='".into(),
                Some('\t') => "tabs stand between the fields: say --delimiter tab".to_owned(),
                Some(other) => format!("{other} stands between the fields: say --delimiter '{other}'"),
            };
            wrong(format!("line {line} of {name}, column {column:?}: {problem}")).hint(hint)
        })?;
        if target != Target::Ignored && targets.contains(&target) {
            return Err(wrong(format!("line {line} of {name}: column {column:?} is the second for its field")));
        }
        targets.push(target);
    }
    if let Some((absent, _)) = layout.maps.iter().find(|(from, _)| !header.contains(from)) {
        let message = format!("line {line} of {name} has no column {absent:?}, which --map names");
        return Err(CliError::new(Exit::Usage, message));
    }
    if !targets.contains(&Target::Field("email")) {
        let error = wrong(format!("line {line} of {name} has no column \"email\""));
        return Err(error.hint(
            "the first line names the columns; --map 'COLUMN=email' says which one it is, and \
                               --delimiter what stands between them",
        ));
    }
    Ok((header, targets))
}

fn next_csv<R: BufRead>(
    lines: &mut Lines<R>,
    delimiter: u8,
    columns: &[String],
    targets: &[Target],
) -> std::io::Result<Option<Item>> {
    let Some(record) = csv::next_record(lines, delimiter, columns)? else { return Ok(None) };
    let number = record.line.cast_signed();
    let (raw, row) = match record.cells {
        Err((line, problem)) => (Raw::Line(line), Err(problem)),
        Ok(cells) if cells.len() != columns.len() => {
            let quotes =
                if cells.len() > columns.len() { "; a field with the delimiter in it stands in quotes" } else { "" };
            let problem = format!("has {} fields, and the header {}{quotes}", cells.len(), columns.len());
            (Raw::Cells(cells), Err(problem))
        }
        Ok(cells) => {
            let mut draft = Draft::default();
            for ((cell, column), target) in cells.iter().zip(columns).zip(targets) {
                draft.set_text(target, column, cell);
            }
            (Raw::Cells(cells), draft.finish(number).and_then(check_size))
        }
    };
    Ok(Some(Item { number, raw, row, offset: record.offset }))
}

fn next_json<R: BufRead>(lines: &mut Lines<R>, maps: &[(String, String)]) -> std::io::Result<Option<Item>> {
    loop {
        let Some(line) = lines.next()? else { return Ok(None) };
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let number = line.number.cast_signed();
        let (raw, row) = match object_of(&line) {
            // It speaks of the line below, which failed before and was no object that could have had it.
            Ok(Members(members)) if matches!(&members[..], [(key, _)] if key == REASON) => continue,
            Ok(members) => {
                let raw = Raw::Line(String::from_utf8_lossy(&line.bytes).trim_end().to_owned());
                (raw, row_of(members, maps, number))
            }
            Err(problem) => (Raw::Bytes(line.bytes), Err(problem)),
        };
        return Ok(Some(Item { number, raw, row, offset: line.offset }));
    }
}

fn object_of(line: &Line) -> Result<Members, String> {
    if line.is_cut {
        return Err(format!("is longer than {LINE_BYTES_MAX} bytes; the rest is not kept"));
    }
    match serde_json::from_slice(&line.bytes) {
        Ok(Member::Object(members)) => Ok(members),
        Ok(Member::Other(_)) => Err("is no JSON object".to_owned()),
        Err(error) => Err(format!("is no JSON: {error}")),
    }
}

fn row_of(members: Members, maps: &[(String, String)], number: i64) -> Result<ImportRow, String> {
    let mut draft = Draft::default();
    let mut targets = HashSet::new();
    for (key, value) in members.0 {
        match target(&key, maps) {
            Ok(target) if target != Target::Ignored && !targets.insert(target.clone()) => {
                draft.complain(format!("key {key:?} is the second for its field; leave one of them"));
            }
            Ok(target) => draft.set_value(&target, &key, value),
            Err(problem) => draft.complain(problem),
        }
    }
    draft.finish(number).and_then(check_size)
}

fn check_size(row: ImportRow) -> Result<ImportRow, String> {
    // The message around the row takes a few bytes more.
    let bytes = row.encoded_len();
    if bytes + 64 > LINE_BYTES_MAX { Err(format!("has {bytes} bytes; at most 1 MiB is sent")) } else { Ok(row) }
}
