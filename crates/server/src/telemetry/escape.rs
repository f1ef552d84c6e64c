//! Makes text from outside safe to show: on one line, without colours, in the order it was written.

use std::{borrow::Cow, fmt};

/// Whether a character may reach a log or a terminal as it is. Control characters (CR, LF, ESC,
/// the C1 set) and line separators may not, nor those that turn the direction of text
/// ([UTR 36](https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing)).
#[must_use]
pub fn is_safe(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// `text` with each character that [is not safe](is_safe) as `\n`, `\u{1b}` and so on.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_safe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    // Writing to a string cannot fail.
    let _ = fmt::Write::write_str(&mut Escaped(&mut escaped), text);
    Cow::Owned(escaped)
}

/// Passes on what is written, [escaped](escape).
#[derive(Debug)]
pub struct Escaped<W>(pub W);

impl<W: fmt::Write> fmt::Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_runs(&mut self.0, text, is_safe, |out, c| write!(out, "{}", c.escape_default()))
    }
}

/// Writes `text`, whole runs of `plain` characters at once and each other one through `other`.
pub(super) fn write_runs<W: fmt::Write>(
    out: &mut W,
    mut text: &str,
    plain: impl Fn(char) -> bool,
    other: impl Fn(&mut W, char) -> fmt::Result,
) -> fmt::Result {
    // Most text is plain ASCII, which is seen many bytes at a time if the look does not stop at the first other one.
    if text.bytes().fold(true, |all, byte| all & (matches!(byte, b' '..=b'~') & plain(char::from(byte)))) {
        return out.write_str(text);
    }
    while let Some((at, c)) = text.char_indices().find(|(_, c)| !plain(*c)) {
        out.write_str(&text[..at])?;
        other(out, c)?;
        text = &text[at + c.len_utf8()..];
    }
    out.write_str(text)
}
