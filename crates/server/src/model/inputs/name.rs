//! A user's display name.

use super::parse_line;

/// Characters that a display name may have.
pub const NAME_MAX_CHARS: usize = 200;

/// A display name in NFC: any script, emoji, and none at all.
///
/// # Errors
/// More than 200 characters, or one that hides or breaks lines.
pub fn parse_name(text: &str) -> Result<String, String> {
    parse_line(text, NAME_MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_kept_in_nfc() {
        let longest = "é".repeat(NAME_MAX_CHARS);
        for (text, name) in [
            ("", ""),
            ("Test User", "Test User"),
            ("Jose\u{301}", "José"),
            ("O'Brien, \"Bob\" <x>", "O'Brien, \"Bob\" <x>"),
            ("👨‍👩‍👧 Müller", "👨‍👩‍👧 Müller"),
            (&"e\u{301}".repeat(NAME_MAX_CHARS), &longest),
        ] {
            assert_eq!(parse_name(text).as_deref(), Ok(name));
        }
    }

    #[test]
    fn hidden_and_endless_names_are_refused() {
        for (text, reason) in [
            ("a\nb", "U+000A at character 2"),
            ("Anna\u{202E}", "U+202E at character 5"),
            (&"a".repeat(201), "has 201 characters; at most 200"),
            // One character that NFC takes apart: the limit is on what is stored.
            (&"\u{FB2C}".repeat(100), "has 300 characters"),
        ] {
            let refused = parse_name(text).unwrap_err();
            assert!(refused.contains(reason), "{text:?}: {refused}");
        }
    }
}
