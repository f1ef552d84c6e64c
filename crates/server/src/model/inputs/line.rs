//! One line of text: a name, a street, a city.

use crate::model::text::{Lines, check_raw_length, check_text, nfc};

/// One line of text in NFC: any script, emoji, and none at all.
///
/// # Errors
/// More than `max_chars` characters, or one that hides or breaks lines ([`check_text`]).
pub fn parse_line(text: &str, max_chars: usize) -> Result<String, String> {
    check_raw_length(text, max_chars)?;
    check_text(text, Lines::One)?;
    let line = nfc(text);
    let length = line.chars().count();
    if length > max_chars {
        return Err(format!("has {length} characters; at most {max_chars} are allowed"));
    }
    Ok(line)
}

/// Like [`parse_line`], for what must be there.
///
/// # Errors
/// As [`parse_line`]; nothing, or nothing but blanks.
pub fn parse_required_line(text: &str, max_chars: usize) -> Result<String, String> {
    // Blanks are looked at once it is known that there are not too many of them.
    let line = parse_line(text, max_chars)?;
    if line.trim().is_empty() { Err("is required".into()) } else { Ok(line) }
}
