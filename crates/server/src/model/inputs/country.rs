//! Countries.

use crate::model::text::quote;

/// Every officially assigned code of [ISO 3166-1](https://www.iso.org/iso-3166-country-codes.html) alpha-2, in order.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO \
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE \
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO \
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW \
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM \
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// A country's code in upper case, such as `DE`.
///
/// # Errors
/// What a country may look like.
pub fn parse_country(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is required".into());
    }
    let code = text.to_ascii_uppercase();
    if code.len() == 2 && COUNTRIES.split(' ').any(|country| country == code) {
        return Ok(code);
    }
    let instead = if code == "UK" { "; the United Kingdom is GB" } else { "" };
    Err(format!("is {}; must be an ISO 3166-1 alpha-2 code, such as DE{instead}", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        let all: Vec<&str> = COUNTRIES.split(' ').collect();
        assert_eq!(all.len(), 249);
        assert!(all.is_sorted_by(|one, next| one < next) && all.iter().all(|code| code.len() == 2), "{all:?}");
    }

    #[test]
    fn codes_come_in_either_case() {
        for (text, country) in [("DE", "DE"), ("de", "DE"), ("gB", "GB"), ("ax", "AX"), ("zw", "ZW")] {
            assert_eq!(parse_country(text).as_deref(), Ok(country));
        }
    }

    #[test]
    fn what_is_no_country() {
        for text in ["D", "DEU", "Germany", "XK", "ZZ", "EU", "D ", " D", "dé", "D\0", "276", &"D".repeat(1_000_000)] {
            let refused = parse_country(text).unwrap_err();
            assert!(refused.contains("alpha-2 code, such as DE") && refused.len() < 800, "{text:?}: {refused}");
        }
        assert_eq!(parse_country("").unwrap_err(), "is required");
        assert!(parse_country("uk").unwrap_err().ends_with("the United Kingdom is GB"));
    }
}
