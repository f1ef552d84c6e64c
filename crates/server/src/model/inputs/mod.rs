//! What callers may put into the fields of a user and of what hangs on one. Each parser returns the value as it is stored,
//! or one line that says what came and what is allowed.

mod address;
mod age;
mod api_key;
mod attributes;
mod client_id;
mod country;
mod device;
mod email;
mod line;
mod locale;
mod name;
mod phone;
mod time_zone;
mod username;

pub use address::parse_address_field;
pub use age::{AGE_MAX, parse_age};
pub use api_key::{
    API_KEY_NAME_MAX_CHARS, SCOPES_MAX, known_scopes, parse_api_key_name, parse_key_expiry, parse_scopes,
};
pub use attributes::{
    ATTRIBUTE_KEY_MAX_BYTES, ATTRIBUTE_VALUE_MAX_CHARS, ATTRIBUTES_MAX, ATTRIBUTES_MAX_BYTES, check_attribute_key,
    check_attribute_value, check_attributes_size, parse_attributes,
};
pub use client_id::{CLIENT_ID_MAX_BYTES, check_client_id, parse_client_id};
pub use country::parse_country;
pub use device::{DEVICE_MAX_CHARS, parse_device};
pub use email::{EMAIL_MAX_BYTES, parse_email};
pub use line::{parse_line, parse_required_line};
pub use locale::{LOCALE_MAX_BYTES, parse_locale};
pub use name::{NAME_MAX_CHARS, parse_name};
pub use phone::{PHONE_MAX_DIGITS, PHONE_MIN_DIGITS, parse_phone};
pub use time_zone::parse_time_zone;
pub use username::{USERNAME_MAX_CHARS, parse_username};

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;
    use crate::model::text::unique_key;

    type Parser = fn(&str) -> Result<String, String>;

    const PARSERS: &[Parser] = &[
        parse_email,
        parse_username,
        parse_name,
        parse_phone,
        parse_locale,
        parse_device,
        parse_country,
        parse_time_zone,
        |text| parse_required_line(text, 20),
    ];

    /// Anything, and text that comes near to what is allowed.
    fn near_misses() -> impl Strategy<Value = String> {
        let hostile = prop::collection::vec(any::<char>(), 0..80).prop_map(String::from_iter);
        prop_oneof![
            hostile,
            "\\PC{0,80}",
            "[a-zé.+\u{301}-]{1,20}@[a-zß.-]{1,20}",
            "[\\p{L}\\p{N}._-]{1,64}",
            "\\+?[0-9() .-]{0,24}",
            "[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,5}",
            "[A-Za-z]{2}",
            "[Ee]tc/(GMT|UTC)[+-]?[0-9]{0,2}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, rng_seed: RngSeed::Fixed(3), ..ProptestConfig::default() })]

        #[test]
        fn what_a_parser_returns_it_accepts_unchanged(text in near_misses()) {
            for parse in PARSERS {
                match parse(&text) {
                    Ok(parsed) => {
                        prop_assert_eq!(parse(&parsed), Ok(parsed.clone()));
                        prop_assert!(!parsed.chars().any(char::is_control));
                    }
                    Err(reason) => {
                        prop_assert!(!reason.is_empty() && reason.len() < 800);
                        prop_assert!(!reason.chars().any(char::is_control), "{}", reason);
                    }
                }
            }
        }

        /// Spellings that normalise alike must not be two users, whichever was parsed first.
        #[test]
        fn parsing_keeps_the_key(text in near_misses()) {
            for parse in [parse_email, parse_username] {
                if let Ok(parsed) = parse(&text) {
                    prop_assert_eq!(unique_key(&parsed), unique_key(&text));
                }
            }
        }
    }
}
