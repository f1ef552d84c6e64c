//! CSV ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)), read so that one bad line costs that line alone.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Write},
};

/// Bytes of a line; what is longer is no user.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Bytes that are kept of such a line.
const SHOWN_OF_CUT_BYTES: usize = 1_000;
/// What to do with text in another encoding.
pub const TO_UTF8: &str = "convert the file: iconv -f WINDOWS-1252 -t UTF-8, or whatever it is in";
/// Lines that a record can span, in quotes. A quote that is never closed would take the rest of the file with it.
const RECORD_LINES_MAX: usize = 1_000;

/// A line of a file, without its line feed.
#[derive(Clone, Debug)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// Cut at [`LINE_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// Whether it was.
    pub is_cut: bool,
    /// Bytes of the file up to its end.
    pub offset: u64,
}

/// Lines of a file.
pub struct Lines<R> {
    input: R,
    number: u64,
    offset: u64,
    /// To be read again.
    again: VecDeque<Line>,
}

impl<R: BufRead> Lines<R> {
    /// From the start of a file.
    pub fn new(input: R) -> Self {
        Self { input, number: 0, offset: 0, again: VecDeque::new() }
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.again.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        let (mut is_cut, mut is_whole) = (false, false);
        while !is_whole {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = LINE_BYTES_MAX - bytes.len();
            is_cut |= part.len() > room;
            bytes.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(available.len(), |end| end + 1);
            is_whole = end.is_some();
            self.input.consume(used);
            self.offset += used as u64;
        }
        if bytes.is_empty() && !is_whole {
            return Ok(None);
        }
        self.number += 1;
        if self.number == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        Ok(Some(Line { number: self.number, bytes, is_cut, offset: self.offset }))
    }

    fn again(&mut self, lines: impl DoubleEndedIterator<Item = Line>) {
        for line in lines.rev() {
            self.again.push_front(line);
        }
    }
}

/// What a record of a file is.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// The line that it begins on.
    pub line: u64,
    /// Bytes of the file up to its end.
    pub offset: u64,
    /// Its cells; or the line as it is and what is wrong with it.
    pub cells: Result<Vec<String>, (String, String)>,
}

/// Reads the next record; `None` at the end. Empty lines are none. `columns` are names to speak of.
pub fn next_record<R: BufRead>(lines: &mut Lines<R>, delimiter: u8, columns: &[String]) -> io::Result<Option<Record>> {
    let first = loop {
        match lines.next()? {
            None => return Ok(None),
            Some(line) if line.bytes.is_empty() || line.bytes == b"\r" => {}
            Some(line) => break line,
        }
    };
    let (number, mut offset) = (first.number, first.offset);
    // Who mends the line needs all of it; of one that is no line at all, its beginning says where it is.
    let kept = if first.is_cut { &first.bytes[..SHOWN_OF_CUT_BYTES] } else { &first.bytes };
    let raw = String::from_utf8_lossy(kept).trim_end_matches('\r').to_owned();
    let bad = |problem: String, offset| Record { line: number, offset, cells: Err((raw.clone(), problem)) };
    if first.is_cut {
        let problem = format!("is longer than {LINE_BYTES_MAX} bytes, of which {SHOWN_OF_CUT_BYTES} are kept here");
        return Ok(Some(bad(problem, offset)));
    }
    let mut text = first.bytes;
    let mut rest: Vec<Line> = Vec::new();
    let mut opened = None;
    loop {
        let problem = match split(&text, delimiter, columns) {
            Split::Cells(cells) => return Ok(Some(Record { line: number, offset, cells: Ok(cells) })),
            Split::Bad(problem) => problem,
            Split::Open(column) => match lines.next()? {
                Some(line) if rest.len() < RECORD_LINES_MAX && text.len() + line.bytes.len() < LINE_BYTES_MAX => {
                    text.push(b'\n');
                    text.extend_from_slice(&line.bytes);
                    offset = line.offset;
                    rest.push(line);
                    opened.get_or_insert(column);
                    continue;
                }
                other => {
                    rest.extend(other);
                    opened.get_or_insert(column);
                    String::new()
                }
            },
        };
        let problem = opened.map_or(problem, |column| format!("{column}: a quote opens and is never closed"));
        // The lines after it are lines of their own.
        lines.again(rest.into_iter());
        return Ok(Some(bad(problem, offset)));
    }
}

enum Split {
    Cells(Vec<String>),
    /// The text ends inside quotes, which open in this column.
    Open(String),
    Bad(String),
}

fn name_of(columns: &[String], index: usize) -> String {
    columns.get(index).map_or_else(|| format!("column {}", index + 1), |name| format!("column {name:?}"))
}

fn split(text: &[u8], delimiter: u8, columns: &[String]) -> Split {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let mut cells = Vec::new();
    let mut at = 0;
    loop {
        let name = || name_of(columns, cells.len());
        let mut cell = Vec::new();
        if text.get(at) == Some(&b'"') {
            at += 1;
            loop {
                match (text.get(at), text.get(at + 1)) {
                    (None, _) => return Split::Open(name()),
                    (Some(b'"'), Some(b'"')) => {
                        cell.push(b'"');
                        at += 2;
                    }
                    (Some(b'"'), _) => break at += 1,
                    (Some(byte), _) => {
                        cell.push(*byte);
                        at += 1;
                    }
                }
            }
            if text.get(at).is_some_and(|byte| *byte != delimiter) {
                return Split::Bad(format!("{}: something stands behind the closing quote", name()));
            }
        } else {
            let end = text[at..].iter().position(|byte| *byte == delimiter).map_or(text.len(), |end| at + end);
            cell.extend_from_slice(&text[at..end]);
            if cell.contains(&b'"') {
                let how = "put the field in quotes and double those inside";
                return Split::Bad(format!("{}: a quote stands inside a field without quotes; {how}", name()));
            }
            at = end;
        }
        match String::from_utf8(cell) {
            Ok(cell) => cells.push(cell),
            Err(_) => return Split::Bad(format!("{}: is not UTF-8; {TO_UTF8}", name())),
        }
        if at >= text.len() {
            return Split::Cells(cells);
        }
        at += 1;
    }
}

/// Writes a record.
pub fn write_record<'a>(
    out: &mut dyn Write,
    delimiter: u8,
    cells: impl IntoIterator<Item = &'a str>,
) -> io::Result<()> {
    let mut line = Vec::new();
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            line.push(delimiter);
        }
        let plain = |byte: u8| byte != delimiter && !b"\"\r\n".contains(&byte);
        if cell.bytes().all(plain) && !cell.starts_with(' ') && !cell.ends_with(' ') {
            line.extend_from_slice(cell.as_bytes());
        } else {
            line.push(b'"');
            line.extend(cell.bytes().flat_map(|byte| std::iter::repeat_n(byte, 1 + usize::from(byte == b'"'))));
            line.push(b'"');
        }
    }
    // A line that is empty is no record.
    if line.is_empty() {
        line.extend_from_slice(b"\"\"");
    }
    line.push(b'\n');
    out.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut lines = Lines::new(text);
        let columns = ["email".to_owned(), "name".to_owned()];
        let mut all = Vec::new();
        while let Some(record) = next_record(&mut lines, b',', &columns).unwrap() {
            all.push((record.line, record.cells.map_err(|(_, problem)| problem)));
        }
        all
    }

    fn cells(cells: &[&str]) -> Result<Vec<String>, String> {
        Ok(cells.iter().map(|&cell| cell.to_owned()).collect())
    }

    #[test]
    fn fields_quotes_and_line_ends_are_read_as_the_rfc_has_them() {
        let text = b"\xef\xbb\xbfa,b\r\n\n\"x, \"\"y\"\"\",\"two\nlines\"\r\n,\n\"\",last";
        let expected = [
            (1, cells(&["a", "b"])),
            (3, cells(&["x, \"y\"", "two\nlines"])),
            (5, cells(&["", ""])),
            (6, cells(&["", "last"])),
        ];
        assert_eq!(read(text), expected);
    }

    #[test]
    fn a_bad_line_is_named_and_costs_no_other() {
        let mut text = b"a,\"open\nb,1\nc,\"x\"y\nd,x\"y\"\ne,\xff\n".to_vec();
        text.extend([b'x'].repeat(LINE_BYTES_MAX + 5));
        text.extend(b"\nf,2");
        let problems: Vec<_> = read(&text).into_iter().map(|(line, cells)| (line, cells.err())).collect();
        let problem = |text: &str| Some(text.to_owned());
        let expected = [
            (1, problem("column \"name\": a quote opens and is never closed")),
            (2, None),
            (3, problem("column \"name\": something stands behind the closing quote")),
            (
                4,
                problem(
                    "column \"name\": a quote stands inside a field without quotes; put the field in quotes and double \
                     those inside",
                ),
            ),
            (
                5,
                problem(
                    "column \"name\": is not UTF-8; convert the file: iconv -f WINDOWS-1252 -t UTF-8, or whatever it is in",
                ),
            ),
            (6, problem("is longer than 1048576 bytes, of which 1000 are kept here")),
            (7, None),
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let rows: [&[&str]; 4] = [&["a", "b"], &[" x", "y "], &["1,2", "say \"hi\"\r\nthere"], &[""]];
        let mut text = Vec::new();
        for row in rows {
            write_record(&mut text, b',', row.iter().copied()).unwrap();
        }
        let read: Vec<_> = read(&text).into_iter().map(|(_, cells)| cells).collect();
        assert_eq!(read, rows.map(cells));
    }
}
