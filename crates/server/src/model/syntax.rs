//! Where and why a short text in a little language of ours (a filter, an order) could not be read.

/// A mistake in a text, for the developer who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {message}")]
pub struct SyntaxError {
    /// The character at which the mistake was noticed, from 1; one past the last if something is missing at the end.
    pub position: usize,
    /// What came and what is allowed.
    pub message: String,
}

/// A mistake as parsers note it: by byte, which is what they count in.
#[derive(Debug)]
pub(super) struct Problem {
    at: usize,
    message: String,
}

impl Problem {
    /// A mistake at the byte `at` of the text, which must be where a character starts.
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// The mistake with its place counted in characters of `text`.
    pub(super) fn locate(self, text: &str) -> SyntaxError {
        let before = text.char_indices().take_while(|(byte, _)| *byte < self.at).count();
        SyntaxError { position: before + 1, message: self.message }
    }
}

/// Characters of the caller's own text that a message repeats.
const SHOWN_MAX_CHARS: usize = 40;

/// What the caller wrote, short enough for a message, and with everything invisible escaped.
pub(super) fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(SHOWN_MAX_CHARS).flat_map(char::escape_debug).collect();
    let more = if chars.next().is_some() { "…" } else { "" };
    format!("`{start}{more}`")
}
