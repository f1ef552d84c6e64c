//! What is written on an address.

use super::{parse_country, parse_line, parse_phone, parse_required_line};

/// The value of one field of an address, by the field's name in the API.
///
/// # Errors
/// What came and what is allowed.
pub fn parse_address_field(field: &str, text: &str) -> Result<String, String> {
    match field {
        "label" => parse_line(text, 64),
        "line1" => parse_required_line(text, 200),
        "city" => parse_required_line(text, 100),
        "region" => parse_line(text, 100),
        "postal_code" => parse_line(text, 20),
        "country" => parse_country(text),
        "phone" => parse_phone(text),
        // The recipient, the organization and the second line.
        _ => parse_line(text, 200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::AddressLines;

    /// The most characters of each field, as the proto has them.
    const LIMITS: [(&str, usize); 8] = [
        ("label", 64),
        ("recipient", 200),
        ("organization", 200),
        ("line1", 200),
        ("line2", 200),
        ("city", 100),
        ("region", 100),
        ("postal_code", 20),
    ];

    #[test]
    fn each_field_has_its_limit_in_characters() {
        assert!(LIMITS.iter().all(|(field, _)| AddressLines::FIELDS.contains(field)));
        for (field, limit) in LIMITS {
            let longest = "e\u{301}".repeat(limit);
            assert_eq!(parse_address_field(field, &longest), Ok("é".repeat(limit)));
            let refused = parse_address_field(field, &"é".repeat(limit + 1)).unwrap_err();
            assert_eq!(refused, format!("has {} characters; at most {limit} are allowed", limit + 1), "{field}");
        }
    }

    #[test]
    fn what_is_required_cannot_be_blank() {
        for field in AddressLines::FIELDS {
            let required = ["line1", "city", "country"].contains(&field);
            assert_eq!(parse_address_field(field, "").is_err(), required, "{field}");
        }
        assert_eq!(parse_address_field("city", " \u{3000} ").unwrap_err(), "is required");
    }
}
