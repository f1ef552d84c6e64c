//! What a client calls itself.

use crate::model::text::{Lines, check_raw_length, check_text, nfc};

/// Characters that the name of a device may have.
pub const DEVICE_MAX_CHARS: usize = 100;

/// The name of a device in NFC; empty if there is none.
///
/// # Errors
/// More than 100 characters, or one that hides or breaks lines ([`check_text`]).
pub fn parse_device(text: &str) -> Result<String, String> {
    check_raw_length(text, DEVICE_MAX_CHARS)?;
    check_text(text, Lines::One)?;
    let device = nfc(text);
    let length = device.chars().count();
    if length > DEVICE_MAX_CHARS {
        return Err(format!("has {length} characters; at most {DEVICE_MAX_CHARS} are allowed"));
    }
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        for device in ["", "Anna's 📱", &"é".repeat(100)] {
            assert_eq!(parse_device(device).as_deref(), Ok(device));
        }
        for (text, reason) in [
            ("a\nb", "U+000A at character 2"),
            ("\u{1b}[31m", "U+001B at character 1"),
            (&"a".repeat(101), "has 101 characters; at most 100"),
        ] {
            assert!(parse_device(text).unwrap_err().contains(reason), "{text:?}");
        }
    }
}
