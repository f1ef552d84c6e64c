//! What a client of presence calls itself.

/// Bytes that the id of a client may have.
pub const CLIENT_ID_MAX_BYTES: usize = 128;

/// The id of a client, as it came: 1 to 128 bytes of text without control characters.
///
/// # Errors
/// What is wrong with it.
pub fn parse_client_id(text: &str) -> Result<&str, String> {
    if text.is_empty() {
        return Err("is required".into());
    }
    check_client_id(text)?;
    Ok(text)
}

/// The same for the beginning of one, which may be empty.
///
/// # Errors
/// What is wrong with it.
pub fn check_client_id(text: &str) -> Result<(), String> {
    if text.len() > CLIENT_ID_MAX_BYTES {
        return Err(format!("has {} bytes; at most {CLIENT_ID_MAX_BYTES} are allowed", text.len()));
    }
    match text.chars().enumerate().find(|(_, c)| c.is_control()) {
        Some((index, c)) => Err(format!(
            "has the control character U+{:04X} at character {}, which is not allowed",
            u32::from(c),
            index + 1
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_clients() {
        for id in ["a", "ada/phone 📱", &"é".repeat(64)] {
            assert_eq!(parse_client_id(id), Ok(id));
        }
        for (text, reason) in [
            ("", "is required"),
            ("a\nb", "U+000A at character 2"),
            ("a\u{85}", "U+0085 at character 2"),
            (&"é".repeat(65), "has 130 bytes; at most 128"),
        ] {
            assert!(parse_client_id(text).unwrap_err().contains(reason), "{text:?}");
        }
    }
}
