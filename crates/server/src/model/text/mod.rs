//! Text as it is stored, searched, compared, and shown in messages.

mod check;
#[cfg(test)]
mod tests;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_security::skeleton;

pub use check::{Lines, check_raw_length, check_text, is_invisible};

/// Characters of foreign text that a message repeats at most.
const QUOTE_MAX_CHARS: usize = 40;

/// Rounds in which [`unique_key`] may settle. Two are the most that any character needs; the bound
/// only rules out a loop, should a later Unicode version bring a cycle.
const KEY_MAX_ROUNDS: usize = 8;

/// The text in NFC ([UAX 15](https://www.unicode.org/reports/tr15/)): what is stored and shown.
#[must_use]
pub fn nfc(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { text.nfc().collect() }
}

/// Folded for search and comparison: NFKC and lower case, with one sigma. Idempotent.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Lower-casing can leave marks that compose with a neighbour, hence the second NFKC.
    text.nfkc().flat_map(char::to_lowercase).map(one_sigma).nfkc().collect()
}

/// A Greek word is the same word wherever its sigma stands.
fn one_sigma(c: char) -> char {
    if c == 'ς' { 'σ' } else { c }
}

/// The key by which emails and usernames are unique: [`fold`]ed, and each character beyond ASCII
/// replaced by what it looks like ([UTS 39](https://www.unicode.org/reports/tr39/), the prototypes
/// of confusables). ASCII is left alone, so that `user1` and `userl` are two users; a Cyrillic
/// `аlice` and `alice` are one. Idempotent.
#[must_use]
pub fn unique_key(text: &str) -> String {
    let mut key = fold(text);
    for _ in 0..KEY_MAX_ROUNDS {
        if key.is_ascii() {
            break;
        }
        let next = fold(&prototypes(&key));
        if next == key {
            break;
        }
        key = next;
    }
    key
}

/// Each character beyond ASCII replaced by its prototype.
fn prototypes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfd() {
        if c.is_ascii() {
            out.push(c);
        } else {
            // The skeleton of a whole string would map its ASCII too: `1` to `l`, `m` to `rn`.
            out.extend(skeleton(c.encode_utf8(&mut [0; 4])));
        }
    }
    out
}

/// Whether this is a visible letter, digit, or mark upon them, of any script.
#[must_use]
pub fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || (!c.is_ascii() && (c.is_alphanumeric() || is_combining_mark(c)) && !is_invisible(c))
}

/// Foreign text for a message: in quotes, cut after 40 characters, with everything escaped that
/// hides, breaks a line or turns its direction.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut chars = text.chars();
    for c in chars.by_ref().take(QUOTE_MAX_CHARS) {
        if is_invisible(c) {
            quoted.extend(c.escape_unicode());
        } else if is_combining_mark(c) {
            // Legible on the letter before it; `escape_debug` of a lone mark would spell it out.
            quoted.push(c);
        } else {
            quoted.extend(c.escape_debug());
        }
    }
    quoted.push_str(if chars.next().is_some() { "…\"" } else { "\"" });
    quoted
}
