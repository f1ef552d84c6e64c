//! A user's email address.

use crate::model::text::{Lines, check_raw_length, check_text, is_word_char, nfc, quote};

/// Bytes that an address may have ([RFC 5321](https://www.rfc-editor.org/rfc/rfc5321), a path without its brackets).
/// It leaves the domain at most 252, below the 253 of the DNS.
pub const EMAIL_MAX_BYTES: usize = 254;

/// Bytes of the part before the `@` (RFC 5321, section 4.5.3.1.1).
const LOCAL_MAX_BYTES: usize = 64;

/// Characters of one label of a domain ([RFC 1035](https://www.rfc-editor.org/rfc/rfc1035), section 2.3.4).
const LABEL_MAX_CHARS: usize = 63;

/// What RFC 5321 calls `atext`, besides letters and digits.
const LOCAL_SIGNS: &str = "!#$%&'*+-/=?^_`{|}~";

/// An email address in NFC, in the letter case that it was given: a dot-atom, `@`, and a domain.
///
/// Letters of any script are allowed on both sides
/// ([RFC 6531](https://www.rfc-editor.org/rfc/rfc6531)). Quoted local parts and address literals
/// are not. A domain may be a single label, such as `localhost`.
///
/// # Errors
/// What an address may look like. An empty one is refused too.
pub fn parse_email(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is required, such as anna@example.com".to_owned());
    }
    check_raw_length(text, EMAIL_MAX_BYTES)?;
    check_text(text, Lines::One)?;
    let email = nfc(text);
    if email.len() > EMAIL_MAX_BYTES {
        return Err(format!("has {} bytes; at most {EMAIL_MAX_BYTES} are allowed", email.len()));
    }
    let (local, domain) = match email.split_once('@') {
        Some((local, domain)) if !domain.contains('@') => (local, domain),
        _ => return Err(format!("is {}; must have one @, such as anna@example.com", quote(text))),
    };
    check_local(local)?;
    check_domain(domain)?;
    Ok(email)
}

fn check_local(local: &str) -> Result<(), String> {
    if local.is_empty() || local.len() > LOCAL_MAX_BYTES {
        return Err(format!("has {} bytes before the @; must be 1 to {LOCAL_MAX_BYTES}", local.len()));
    }
    if local.split('.').any(str::is_empty) {
        return Err(format!("has {} before the @; dots may only stand between other characters", quote(local)));
    }
    match local.chars().find(|&c| c != '.' && !is_word_char(c) && !LOCAL_SIGNS.contains(c)) {
        Some(c) => Err(format!("has {c:?} before the @; only letters, digits, dots and {LOCAL_SIGNS} are allowed")),
        None => Ok(()),
    }
}

fn check_domain(domain: &str) -> Result<(), String> {
    for label in domain.split('.') {
        let length = label.chars().count();
        if length == 0 || length > LABEL_MAX_CHARS {
            return Err(format!(
                "has a label of {length} characters in its domain {}; must be 1 to {LABEL_MAX_CHARS}",
                quote(domain)
            ));
        }
        if let Some(c) = label.chars().find(|&c| c != '-' && !is_word_char(c)) {
            return Err(format!("has {c:?} in its domain; only letters, digits, hyphens and dots are allowed"));
        }
        if !label.starts_with(char::is_alphanumeric) || label.ends_with('-') {
            return Err(format!(
                "has the label {} in its domain; must start with a letter or digit and not end with a hyphen",
                quote(label)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, email) in [
            ("test@example.com", "test@example.com"),
            ("Anna.K+tag@Example.COM", "Anna.K+tag@Example.COM"),
            ("root@localhost", "root@localhost"),
            ("a@b", "a@b"),
            ("o'brien/x=y@mail-1.example", "o'brien/x=y@mail-1.example"),
            ("jose\u{301}@bu\u{308}cher.de", "josé@bücher.de"),
            ("संपर्क@डाटामेल.भारत", "संपर्क@डाटामेल.भारत"),
            ("x@xn--bcher-kva.de", "x@xn--bcher-kva.de"),
            (&format!("{}@example.com", "a".repeat(64)), &format!("{}@example.com", "a".repeat(64))),
        ] {
            assert_eq!(parse_email(text).as_deref(), Ok(email));
        }
    }

    #[test]
    fn what_is_no_address() {
        let label = "d".repeat(64);
        let long = format!("a@{}", ["d".repeat(60).as_str(); 5].join("."));
        for (text, reason) in [
            ("", "required"),
            ("invalid", "is \"invalid\"; must have one @"),
            ("a@b@c", "must have one @"),
            ("@example.com", "has 0 bytes before the @"),
            (&format!("{}@example.com", "a".repeat(65)), "has 65 bytes before the @; must be 1 to 64"),
            (&format!("{}@example.com", "é".repeat(33)), "has 66 bytes before the @"),
            (".a@b.c", "dots may only stand between"),
            ("a.@b.c", "dots may only stand between"),
            ("a..b@b.c", "dots may only stand between"),
            ("\"a b\"@b.c", "has '\"' before the @"),
            ("a b@b.c", "has ' ' before the @"),
            ("👍@b.c", "has '👍' before the @"),
            ("a@", "a label of 0 characters"),
            ("a@b..c", "a label of 0 characters"),
            ("a@b.c.", "a label of 0 characters"),
            (&format!("a@{label}.com"), "a label of 64 characters"),
            ("a@-b.c", "the label \"-b\""),
            ("a@b-.c", "the label \"b-\""),
            ("a@b_c", "has '_' in its domain"),
            ("a@[127.0.0.1]", "has '[' in its domain"),
            ("a＠b.c", "must have one @"),
            ("a@b。c", "has '。' in its domain"),
            ("a@b.c\r\nBcc: d@e.f", "U+000D at character 6"),
            ("a\0@b.c", "U+0000"),
            ("a\u{200B}@b.c", "U+200B"),
            (&long, "bytes; at most 254"),
        ] {
            let refused = parse_email(text).unwrap_err();
            assert!(refused.contains(reason), "{text:?}: {refused}");
        }
    }
}
