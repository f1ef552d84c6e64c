//! A user's telephone number.

use crate::model::text::quote;

/// Fewest digits of a number. E.164 names none; shorter ones are dialled only within a network.
pub const PHONE_MIN_DIGITS: usize = 8;

/// Most digits of a number ([E.164](https://www.itu.int/rec/T-REC-E.164)).
pub const PHONE_MAX_DIGITS: usize = 15;

/// A telephone number in E.164, such as `+4930123456`; empty if there is none. Spaces, hyphens,
/// dots and parentheses are dropped.
///
/// # Errors
/// What a number may look like.
pub fn parse_phone(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let refused = |why: &str| {
        let quoted = quote(text);
        Err(format!(
            "is {quoted}; {why}: must be + and {PHONE_MIN_DIGITS} to {PHONE_MAX_DIGITS} digits, such as +4930123456"
        ))
    };
    let Some(number) = text.strip_prefix('+') else { return refused("it does not start with +") };
    // People write +49 (0)30 for "dial the 0 only at home". Dropping the parentheses would make it another number.
    if number.contains("(0)") {
        return refused("it has a (0) that is not dialled from abroad");
    }
    let mut phone = String::from("+");
    for c in number.chars() {
        match c {
            '0'..='9' if phone.len() > PHONE_MAX_DIGITS => return refused("it has too many digits"),
            '0'..='9' => phone.push(c),
            ' ' | '-' | '.' | '(' | ')' => {}
            _ => return refused("it has something other than digits"),
        }
    }
    if phone.len() <= PHONE_MIN_DIGITS {
        return refused("it has too few digits");
    }
    if phone.starts_with("+0") {
        return refused("no country code starts with 0");
    }
    Ok(phone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_layout() {
        for (text, phone) in [
            ("", ""),
            ("+4930123456", "+4930123456"),
            ("+1 (415) 555-0132", "+14155550132"),
            ("+41.44.668.18.00", "+41446681800"),
            ("+12345678", "+12345678"),
            ("+123456789012345", "+123456789012345"),
        ] {
            assert_eq!(parse_phone(text).as_deref(), Ok(phone));
        }
    }

    #[test]
    fn what_is_no_number() {
        for (text, reason) in [
            ("030 123456", "does not start with +"),
            (" ", "does not start with +"),
            ("+1234567", "too few digits"),
            ("+1234567890123456", "too many digits"),
            (&format!("+{}", "9".repeat(1_000_000)), "too many digits"),
            ("+0123456789", "country code"),
            ("+49 (0)30 123456", "(0)"),
            ("+49 30 123456 ext. 7", "other than digits"),
            ("+٤٩٣٠١٢٣٤٥٦", "other than digits"),
            ("+4930123456\r\n", "other than digits"),
            ("++4930123456", "other than digits"),
        ] {
            let refused = parse_phone(text).unwrap_err();
            assert!(refused.contains(reason) && refused.contains("8 to 15 digits"), "{text:?}: {refused}");
        }
    }
}
