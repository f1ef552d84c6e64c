//! A user's language and region.

use crate::model::text::quote;

/// Bytes that a language tag may have: what RFC 5646, section 4.4.1 asks of everyone to hold.
pub const LOCALE_MAX_BYTES: usize = 35;

/// A language tag in its canonical letter case, such as `de-CH` or `zh-Hant-TW`; empty if there is none.
///
/// The tag is well-formed by [BCP 47](https://www.rfc-editor.org/rfc/rfc5646), section 2.1; whether
/// its subtags are registered is not looked up. Irregular tags of RFC 3066 (`i-klingon`) are refused.
///
/// # Errors
/// What a tag may look like.
pub fn parse_locale(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if text.len() <= LOCALE_MAX_BYTES && is_well_formed(&text.to_ascii_lowercase()) {
        return Ok(canonical_case(text));
    }
    Err(format!(
        "is {}; must be a BCP 47 language tag of at most {LOCALE_MAX_BYTES} bytes, such as de-CH or zh-Hant-TW",
        quote(text)
    ))
}

/// Matches a lower-case tag against the grammar, subtag by subtag.
fn is_well_formed(tag: &str) -> bool {
    let subtags: Vec<&str> = tag.split('-').collect();
    let well_sized = |s: &&str| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
    if !subtags.iter().all(well_sized) {
        return false;
    }
    if subtags[0] == "x" {
        return subtags.len() > 1;
    }
    if subtags[0].len() < 2 || !is_alpha(subtags[0]) {
        return false;
    }
    let mut rest = &subtags[1..];
    if subtags[0].len() <= 3 {
        rest = skip(rest, 3, |s| s.len() == 3 && is_alpha(s));
    }
    rest = skip(rest, 1, |s| s.len() == 4 && is_alpha(s));
    rest = skip(rest, 1, |s| (s.len() == 2 && is_alpha(s)) || (s.len() == 3 && is_digits(s)));
    let after_variants = skip(rest, usize::MAX, is_variant);
    let variants = &rest[..rest.len() - after_variants.len()];
    !has_twins(variants) && are_extensions(after_variants)
}

/// Extensions, each a letter or digit and one or more subtags, and then what is private.
fn are_extensions(mut rest: &[&str]) -> bool {
    let mut singletons = Vec::new();
    while let [singleton, after @ ..] = rest {
        if singleton.len() != 1 {
            return false;
        }
        if *singleton == "x" {
            return !after.is_empty() && !has_twins(&singletons);
        }
        singletons.push(*singleton);
        rest = skip(after, usize::MAX, |s| s.len() >= 2);
        if rest.len() == after.len() {
            return false;
        }
    }
    !has_twins(&singletons)
}

/// The subtags after at most `most` that match.
fn skip<'a, 'b>(subtags: &'a [&'b str], most: usize, matches: impl Fn(&str) -> bool) -> &'a [&'b str] {
    let met = subtags.iter().take(most).take_while(|s| matches(s)).count();
    &subtags[met..]
}

fn is_variant(s: &str) -> bool {
    s.len() >= 5 || (s.len() == 4 && s.as_bytes()[0].is_ascii_digit())
}

fn is_alpha(s: &str) -> bool {
    s.bytes().all(|b| b.is_ascii_alphabetic())
}

fn is_digits(s: &str) -> bool {
    s.bytes().all(|b| b.is_ascii_digit())
}

fn has_twins(subtags: &[&str]) -> bool {
    subtags.iter().enumerate().any(|(i, s)| subtags[..i].contains(s))
}

/// Lower case, except a region (two letters) and a script (four), unless they are first or follow
/// a singleton (RFC 5646, section 2.1.1).
fn canonical_case(tag: &str) -> String {
    let mut out = String::with_capacity(tag.len());
    let mut in_extension = false;
    for subtag in tag.split('-') {
        let first = out.is_empty();
        if !first {
            out.push('-');
        }
        in_extension |= subtag.len() == 1;
        let plain = first || in_extension;
        match subtag.len() {
            2 if !plain => out.push_str(&subtag.to_ascii_uppercase()),
            4 if !plain => {
                out.push_str(&subtag[..1].to_ascii_uppercase());
                out.push_str(&subtag[1..].to_ascii_lowercase());
            }
            _ => out.push_str(&subtag.to_ascii_lowercase()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_get_their_canonical_case() {
        for (text, locale) in [
            ("", ""),
            ("de", "de"),
            ("DE-ch", "de-CH"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("zh-cmn-hans-cn", "zh-cmn-Hans-CN"),
            ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
            ("de-CH-1901", "de-CH-1901"),
            ("en-US-u-islamcal", "en-US-u-islamcal"),
            ("de-u-co-PHONEBK-x-CH-Abcd", "de-u-co-phonebk-x-ch-abcd"),
            ("X-Whatever", "x-whatever"),
            ("en-a-bbb-x-a-ccc", "en-a-bbb-x-a-ccc"),
        ] {
            assert_eq!(parse_locale(text).as_deref(), Ok(locale));
        }
    }

    #[test]
    fn what_is_no_tag() {
        for text in [
            "d",
            "-",
            "de-",
            "de--CH",
            "de_CH",
            "de-CH.UTF-8",
            "german speaker",
            "419",
            "de-419-DE",
            "ar-a-aaa-b-bbb-a-ccc",
            "de-1901-1901",
            "en-a",
            "en-x",
            "x",
            "a-DE",
            "i-klingon",
            "abcdefghi",
            "dé",
            "de\0",
            "en-Latn-GB-boont-r-extended-sequence",
        ] {
            let refused = parse_locale(text).unwrap_err();
            assert!(refused.contains("BCP 47") && refused.contains("is \""), "{text:?}: {refused}");
        }
    }
}
