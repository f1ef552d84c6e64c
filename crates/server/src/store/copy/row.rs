//! Rows between two databases: one encoding that both read and write, and that checksums are made of.
//!
//! A cell is a tag and what it holds: a number as 8 bytes, text and bytes after their length in 4. Truth is 0 or 1, a UUID
//! its bytes, a user's id a `t` and its text or a `u` and its bytes, JSON its text without blanks and with sorted keys.

use std::collections::BTreeMap;

/// Bytes of rows that go from one database to the other at once.
const BATCH_BYTES: usize = 4 << 20;

const NULL: u8 = 0;
const INT: u8 = 1;
const TEXT: u8 = 2;
const BYTES: u8 = 3;

/// What tells a text from a UUID in an id. PostgreSQL's columns have the same.
pub(in crate::store) const TEXT_ID: u8 = b't';
pub(in crate::store) const UUID_ID: u8 = b'u';

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Cell<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Rows, one after the other.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Batch {
    bytes: Vec<u8>,
    rows: u64,
}

impl Batch {
    pub(in crate::store) fn null(&mut self) {
        self.bytes.push(NULL);
    }

    pub(in crate::store) fn int(&mut self, number: i64) {
        self.bytes.push(INT);
        self.bytes.extend(number.to_be_bytes());
    }

    pub(in crate::store) fn text(&mut self, text: &str) {
        self.long(TEXT, &[], text.as_bytes());
    }

    pub(in crate::store) fn bytes(&mut self, bytes: &[u8]) {
        self.long(BYTES, &[], bytes);
    }

    /// An id with its tag.
    pub(in crate::store) fn id(&mut self, tag: u8, bytes: &[u8]) {
        self.long(BYTES, &[tag], bytes);
    }

    /// A JSON object of strings, however it is written.
    pub(in crate::store) fn json(&mut self, text: &str) -> serde_json::Result<()> {
        if text == "{}" {
            self.text(text);
        } else {
            let object: BTreeMap<String, String> = serde_json::from_str(text)?;
            self.text(&serde_json::to_string(&object)?);
        }
        Ok(())
    }

    fn long(&mut self, tag: u8, start: &[u8], rest: &[u8]) {
        self.bytes.push(tag);
        // Neither database holds a value of 4 GiB.
        self.bytes.extend(((start.len() + rest.len()) as u32).to_be_bytes());
        self.bytes.extend_from_slice(start);
        self.bytes.extend_from_slice(rest);
    }

    /// To call after the last cell of each row.
    pub(in crate::store) fn end_row(&mut self) {
        self.rows += 1;
    }

    pub(in crate::store) fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    pub(in crate::store) fn rows(&self) -> u64 {
        self.rows
    }

    pub(in crate::store) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(in crate::store) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// All cells of all rows.
    pub(in crate::store) fn cells(&self) -> Cells<'_> {
        Cells(&self.bytes)
    }
}

/// Cells out of their encoding.
pub(in crate::store) struct Cells<'a>(&'a [u8]);

impl<'a> Cells<'a> {
    /// Those of bytes that [`Batch::into_bytes`] has given.
    pub(in crate::store) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    /// `None` at the end, and before what is no cell.
    fn next(&mut self) -> Option<Cell<'a>> {
        let tag = self.take(1)?[0];
        match tag {
            NULL => Some(Cell::Null),
            INT => Some(Cell::Int(i64::from_be_bytes(self.take(8)?.try_into().ok()?))),
            TEXT | BYTES => {
                let length = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
                let bytes = self.take(length as usize)?;
                if tag == TEXT { str::from_utf8(bytes).ok().map(Cell::Text) } else { Some(Cell::Bytes(bytes)) }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_were_written() {
        let mut batch = Batch::default();
        batch.null();
        batch.int(-1);
        batch.text("ä\0");
        batch.bytes(&[]);
        batch.id(TEXT_ID, b"ada");
        batch.json("{ \"b\" : \"1\" , \"a\":\"\\u00e4\"}").unwrap();
        batch.end_row();
        assert_eq!(batch.rows(), 1);
        let cells: Vec<_> = batch.cells().collect();
        let json = "{\"a\":\"ä\",\"b\":\"1\"}";
        let expected =
            [Cell::Null, Cell::Int(-1), Cell::Text("ä\0"), Cell::Bytes(b""), Cell::Bytes(b"tada"), Cell::Text(json)];
        assert_eq!(cells, expected);
        assert!(batch.json("{\"a\":1}").is_err());
    }

    #[test]
    fn what_is_cut_off_is_no_cell() {
        let mut batch = Batch::default();
        batch.text("ada");
        let bytes = batch.into_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Cells::of(&bytes[..length]).next(), None, "{length}");
        }
    }
}
