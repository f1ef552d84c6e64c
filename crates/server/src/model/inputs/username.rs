//! A user's handle.

use crate::model::text::{Lines, check_raw_length, check_text, is_word_char, nfc, quote};

/// Characters that a username may have.
pub const USERNAME_MAX_CHARS: usize = 64;

/// A username in NFC, in the letter case that it was given; empty if there is none. Scripts may
/// mix: look-alikes meet in the unique key.
///
/// # Errors
/// What a username may look like. An `@` is refused, so that no username is an email.
pub fn parse_username(text: &str) -> Result<String, String> {
    check_raw_length(text, USERNAME_MAX_CHARS)?;
    check_text(text, Lines::One)?;
    let username = nfc(text);
    let length = username.chars().count();
    if length > USERNAME_MAX_CHARS {
        return Err(format!("has {length} characters; at most {USERNAME_MAX_CHARS} are allowed"));
    }
    let Some(first) = username.chars().next() else { return Ok(username) };
    if let Some(c) = username.chars().find(|&c| !is_word_char(c) && !matches!(c, '.' | '_' | '-')) {
        return Err(format!("is {}, which has {c:?}; only letters, digits and . _ - are allowed", quote(text)));
    }
    if !first.is_alphanumeric() {
        return Err(format!("is {}; must start with a letter or digit", quote(text)));
    }
    Ok(username)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_of_any_script() {
        for (text, username) in [
            ("", ""),
            ("anna", "anna"),
            ("Anna.K_2-x", "Anna.K_2-x"),
            ("7of9", "7of9"),
            ("jose\u{301}", "josé"),
            ("Владимир", "Владимир"),
            ("山田", "山田"),
            ("संपर्क", "संपर्क"),
            (&"a".repeat(64), &"a".repeat(64)),
        ] {
            assert_eq!(parse_username(text).as_deref(), Ok(username));
        }
    }

    #[test]
    fn no_other_signs() {
        for (text, reason) in [
            ("anna@example.com", "has '@'; only letters"),
            ("anna k", "has ' '"),
            ("-anna", "must start with a letter or digit"),
            (".", "must start with a letter or digit"),
            ("\u{301}a", "must start with a letter or digit"),
            ("anna👍", "has '👍'"),
            ("1️⃣", "has '\\u{fe0f}'"),
            ("anna\u{200B}", "U+200B at character 5"),
            ("a\u{115F}", "U+115F"),
            ("a/../b", "has '/'"),
            ("＠anna", "has '＠'"),
            (&"a".repeat(65), "has 65 characters; at most 64"),
        ] {
            let refused = parse_username(text).unwrap_err();
            assert!(refused.contains(reason), "{text:?}: {refused}");
        }
    }
}
