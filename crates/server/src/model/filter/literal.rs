//! Text as it is written in a filter: escapes and wildcards.

use crate::model::syntax::{Problem, shown};

/// A text as it stands in the filter, escapes and all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal<'a> {
    /// The byte of the filter at which it starts, quote included.
    pub at: usize,
    /// What was written, without the quotes around it.
    pub raw: &'a str,
    /// Whether there were quotes.
    pub quoted: bool,
}

/// A text with wildcards at its ends.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Anything may come before.
    pub open_start: bool,
    /// The text itself, without escapes.
    pub text: String,
    /// Anything may follow.
    pub open_end: bool,
}

impl Literal<'_> {
    /// Whether this is the wildcard alone, which asks for presence.
    pub(super) fn is_star(self) -> bool {
        self.raw == "*"
    }

    /// What was written, for a message.
    pub(super) fn shown(self) -> String {
        shown(self.raw)
    }

    /// A mistake in this text as a whole.
    pub(super) fn problem(self, message: impl Into<String>) -> Problem {
        Problem::new(self.at, message)
    }

    /// The text without escapes; a wildcard has no place in it.
    pub(super) fn text(self) -> Result<String, Problem> {
        const REASON: &str = "`*` is a wildcard only after = and != and at an end; write \\* for the character";
        self.unescape(0, self.raw.len(), REASON)
    }

    /// The text with wildcards taken from its ends.
    pub(super) fn pattern(self) -> Result<Pattern, Problem> {
        const REASON: &str = "`*` is a wildcard only at the start or the end; write \\* for the character";
        let open_start = self.raw.starts_with('*');
        let start = usize::from(open_start);
        // A star is escaped if an odd number of backslashes stands before it.
        let open_end = self.raw[start..].strip_suffix('*').is_some_and(|rest| {
            let backslashes = rest.bytes().rev().take_while(|byte| *byte == b'\\').count();
            backslashes % 2 == 0
        });
        let end = self.raw.len() - usize::from(open_end);
        Ok(Pattern { open_start, text: self.unescape(start, end, REASON)?, open_end })
    }

    /// The bytes `start..end` without escapes, refusing a star for `star_reason`.
    fn unescape(self, start: usize, end: usize, star_reason: &str) -> Result<String, Problem> {
        let mut text = String::with_capacity(end - start);
        let mut chars = self.raw[start..end].char_indices();
        while let Some((index, char)) = chars.next() {
            let here = self.at + usize::from(self.quoted) + start + index;
            match char {
                '*' => return Err(Problem::new(here, star_reason)),
                '\\' => match chars.next() {
                    Some((_, escaped @ ('\\' | '"' | '\'' | '*'))) => text.push(escaped),
                    Some((_, other)) => {
                        let other = other.escape_debug();
                        let message = format!("unknown escape `\\{other}`; known are \\\\ \\\" \\' \\*");
                        return Err(Problem::new(here, message));
                    }
                    None => return Err(Problem::new(here, "`\\` escapes nothing; write \\\\ for the character")),
                },
                other => text.push(other),
            }
        }
        Ok(text)
    }
}

/// `text` as it is written between double quotes.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '\\' | '"' | '*') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted
}
