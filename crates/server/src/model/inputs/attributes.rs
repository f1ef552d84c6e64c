//! The free keys that a platform hangs on its users: attributes, and those in preferences.

use std::collections::BTreeMap;

use crate::model::{
    Violations,
    text::{Lines, check_text, quote},
};

/// Keys that a user may have.
pub const ATTRIBUTES_MAX: usize = 64;

/// Bytes, and so characters, of a key.
pub const ATTRIBUTE_KEY_MAX_BYTES: usize = 64;

/// Characters of a value.
pub const ATTRIBUTE_VALUE_MAX_CHARS: usize = 1024;

/// Bytes of all keys and values together.
pub const ATTRIBUTES_MAX_BYTES: usize = 16 * 1024;

/// Attributes, just as they were given: they are the platform's data, so they are not normalised.
/// What is wrong is noted by key below `field`, such as `attributes.team`; then there are none to return.
pub fn parse_attributes(
    field: &str,
    given: impl IntoIterator<Item = (String, String)>,
    violations: &mut Violations,
) -> Option<BTreeMap<String, String>> {
    // Sorted first, so that the same request always gets the same answer.
    let attributes: BTreeMap<String, String> = given.into_iter().collect();
    // This comes first and alone: a million bad keys need no million complaints.
    violations.check(field, check_attributes_size(&attributes))?;
    let mut sound = true;
    for (key, value) in &attributes {
        let checked = check_attribute_key(key).and_then(|()| check_attribute_value(value));
        sound &= violations.check(&path_of(field, key), checked).is_some();
    }
    sound.then_some(attributes)
}

/// Checks the key of an attribute: 1 to 64 of ASCII letters, digits and `_ . -`.
///
/// # Errors
/// What a key may look like.
pub fn check_attribute_key(key: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if key.is_empty() || key.len() > ATTRIBUTE_KEY_MAX_BYTES || !key.bytes().all(allowed) {
        let quoted = quote(key);
        return Err(format!("has the key {quoted}; must be 1 to {ATTRIBUTE_KEY_MAX_BYTES} of A-Z, a-z, 0-9 and _ . -"));
    }
    Ok(())
}

/// Checks the value of an attribute: at most 1024 characters, lines and tabs allowed.
///
/// # Errors
/// What a value may look like.
pub fn check_attribute_value(value: &str) -> Result<(), String> {
    let length = value.chars().count();
    if length > ATTRIBUTE_VALUE_MAX_CHARS {
        return Err(format!("has {length} characters; at most {ATTRIBUTE_VALUE_MAX_CHARS} are allowed"));
    }
    check_text(value, Lines::Many)
}

/// Checks all attributes of a user together, as they are after a change: 64 keys, 16 KiB.
///
/// # Errors
/// Which of the two limits is passed.
pub fn check_attributes_size(attributes: &BTreeMap<String, String>) -> Result<(), String> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(format!("has {} keys; at most {ATTRIBUTES_MAX} are allowed", attributes.len()));
    }
    let bytes: usize = attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ATTRIBUTES_MAX_BYTES {
        return Err(format!("has {bytes} bytes in all; at most {ATTRIBUTES_MAX_BYTES} are allowed"));
    }
    Ok(())
}

/// The path of a key; a key that could not be in a path is quoted.
fn path_of(field: &str, key: &str) -> String {
    if check_attribute_key(key).is_ok() { format!("{field}.{key}") } else { format!("{field}.{}", quote(key)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<BTreeMap<String, String>, Vec<String>> {
        let mut violations = Violations::new();
        let given = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let parsed = parse_attributes("attributes", given, &mut violations);
        let noted: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert_eq!(parsed.is_none(), !noted.is_empty());
        parsed.ok_or(noted)
    }

    #[test]
    fn attributes_stay_as_they_were_given() {
        let longest = "é".repeat(ATTRIBUTE_VALUE_MAX_CHARS);
        let pairs =
            [("team", "red"), ("a.b_C-1", ""), ("note", "two\n\tlines\r\n"), ("nfd", "e\u{301}"), ("l", &longest)];
        let parsed = parse(&pairs).unwrap();
        assert!(pairs.iter().all(|(key, value)| parsed[*key] == *value));
        assert_eq!(parsed.len(), pairs.len());
    }

    #[test]
    fn every_bad_key_is_named_once_and_in_order() {
        let noted = parse(&[
            ("team", "red"),
            ("zip", &"a".repeat(1025)),
            ("a b", "x"),
            ("", "x"),
            ("évil\r\n\u{202E}", "\0"),
            (&"k".repeat(65), "x"),
            ("hidden", "a\u{200B}"),
            ("lone", "a\rb"),
        ])
        .unwrap_err();
        let starts = [
            "attributes.\"\": has the key \"\"; must be 1 to 64",
            "attributes.\"a b\": has the key \"a b\"",
            "attributes.hidden: has U+200B at character 2",
            &format!("attributes.\"{}…\": has the key", "k".repeat(40)),
            "attributes.lone: has U+000D",
            "attributes.zip: has 1025 characters; at most 1024",
            "attributes.\"évil\\r\\n\\u{202e}\": has the key",
        ];
        assert_eq!(noted.len(), starts.len(), "{noted:#?}");
        for (noted, start) in noted.iter().zip(starts) {
            assert!(noted.starts_with(start), "{noted}");
        }
    }

    #[test]
    fn too_much_is_one_complaint() {
        let many: Vec<(String, String)> = (0..65).map(|i| (format!("bad key {i}"), String::new())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(parse(&many), Err(vec!["attributes: has 65 keys; at most 64 are allowed".to_owned()]));
        assert!(parse(&[("k", &"a".repeat(16 * 1024))]).unwrap_err()[0].contains("16385 bytes in all; at most 16384"));
    }
}
