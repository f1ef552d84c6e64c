use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// Text in which normalisation, case and look-alikes meet.
fn lively_text() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        any::<char>(),
        prop::char::range(' ', '~'),
        prop::char::range('\u{80}', '\u{24F}'),
        prop::char::range('\u{300}', '\u{36F}'),
        prop::char::range('\u{370}', '\u{58F}'),
        prop::char::range('\u{1E00}', '\u{1FFF}'),
        prop::char::range('\u{200B}', '\u{206F}'),
        prop::char::range('\u{1F300}', '\u{1F64F}'),
        prop::char::range('\u{E0060}', '\u{E007F}'),
        prop::sample::select(vec!['\u{FE0F}', '\u{200D}', '\u{1F3F4}', '\u{20E3}', 'İ', 'ς', '\u{345}']),
    ];
    prop::collection::vec(c, 0..24).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, rng_seed: RngSeed::Fixed(2), ..ProptestConfig::default() })]

    #[test]
    fn folding_twice_is_folding_once(text in lively_text()) {
        let folded = fold(&text);
        prop_assert_eq!(fold(&folded), folded);
    }

    #[test]
    fn the_key_of_a_key_is_itself(text in lively_text()) {
        let key = unique_key(&text);
        prop_assert_eq!(unique_key(&key), key.clone());
        prop_assert_eq!(unique_key(&fold(&text)), key.clone());
        prop_assert_eq!(unique_key(&nfc(&text)), key);
    }

    #[test]
    fn ascii_is_only_lower_cased(text in "[ -~]{0,40}") {
        prop_assert_eq!(unique_key(&text), text.to_ascii_lowercase());
    }

    #[test]
    fn checked_text_holds_nothing_hidden(text in lively_text()) {
        if check_text(&text, Lines::One).is_ok() {
            prop_assert!(!text.chars().any(char::is_control));
            // What is left of invisible characters lies within emoji, so it is never beside a letter.
            let hidden_after_letter = text.chars().zip(text.chars().skip(1))
                .any(|(before, c)| is_invisible(c) && before.is_alphabetic() && !"ℹⓂ🅰🅱🅾🅿".contains(before));
            prop_assert!(!hidden_after_letter, "{:?}", text);
        }
    }

    #[test]
    fn a_quote_is_one_short_plain_line(text in lively_text()) {
        let quoted = quote(&text.repeat(4));
        // The longest escape has ten characters; two quotes and an ellipsis come around it.
        prop_assert!(quoted.chars().count() <= 40 * 10 + 3);
        let breaks_a_line = quoted.chars().any(|c| c.is_control() || is_invisible(c));
        prop_assert!(!breaks_a_line, "{}", quoted);
    }
}

#[test]
fn every_character_has_a_settled_fold_and_key() {
    // The planes that hold letters, but for ideographs and Hangul: they come by the ten thousand and all alike.
    let dull = |c: &char| matches!(c, '\u{3400}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{17000}'..='\u{18CFF}');
    for c in ('\0'..='\u{1FFFF}').filter(|c| !dull(c)) {
        let text = c.to_string();
        let folded = fold(&text);
        assert_eq!(fold(&folded), folded, "fold of U+{:04X}", u32::from(c));
        let key = unique_key(&text);
        if key != folded {
            assert_eq!(unique_key(&key), key, "key of U+{:04X}", u32::from(c));
            assert_eq!(fold(&prototypes(&fold(&prototypes(&folded)))), key, "rounds of U+{:04X}", u32::from(c));
        }
    }
}

#[test]
fn folding() {
    for (text, folded) in [
        ("Anna.K@Example.COM", "anna.k@example.com"),
        ("ＡＮＮＡ", "anna"),
        ("ÉCOLE", "école"),
        ("e\u{301}cole", "école"),
        ("ΟΔΟΣ", "οδοσ"),
        ("οδος", "οδοσ"),
        ("ﬁn", "fin"),
        ("\u{212A}elvin", "kelvin"),
    ] {
        assert_eq!(fold(text), folded);
    }
}

#[test]
fn look_alikes_share_a_key_and_ascii_does_not() {
    for (text, twin) in [
        ("\u{430}lice", "alice"),
        ("аӏісе", "alice"),
        ("ＡＬＩＣＥ", "alice"),
        ("Ποη", "Пoη"),
        ("admın", "admin"),
        ("\u{44A}ob@example.com", "\u{44A}ob@exam\u{440}le.com"),
        ("jose\u{301}", "josé"),
    ] {
        assert_eq!(unique_key(text), unique_key(twin), "{text} and {twin}");
    }
    for (text, other) in [("user1", "userl"), ("user0", "usero"), ("rn", "m"), ("ḿ", "rń"), ("josé", "jose")] {
        assert_ne!(unique_key(text), unique_key(other), "{text} and {other}");
    }
}

#[test]
fn people_and_emoji_pass() {
    for text in [
        "",
        "Anna K.",
        "José Ñandú",
        "Владимир",
        "山田 太郎",
        "محمد",
        "אברהם",
        "संपर्क",
        "👍🏽 ok",
        "👨‍👩‍👧‍👦",
        "👩🏽‍🚀",
        "❤️‍🔥",
        "🏳️‍🌈",
        "🏴‍☠️",
        "🇨🇭",
        "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
        "1️⃣ #️⃣",
        "☎︎",
        "🤷🏿‍♀️",
    ] {
        assert_eq!(check_text(text, Lines::One), Ok(()), "{text}");
    }
}

#[test]
fn hidden_characters_are_named_with_their_place() {
    for (text, reason) in [
        ("a\0", "U+0000 at character 2; control"),
        ("a\r\nBcc: b", "U+000D at character 2; control"),
        ("\u{1b}[31m", "U+001B at character 1; control"),
        ("\u{85}", "U+0085 at character 1; control"),
        ("é\u{202E}fdp.exe", "U+202E at character 2; invisible"),
        ("\u{2066}a", "U+2066"),
        ("a\u{200F}", "U+200F"),
        ("a\u{61C}", "U+061C"),
        ("a\u{200B}b", "U+200B"),
        ("a\u{200D}b", "U+200D"),
        ("👍\u{200D}a", "U+200D at character 2"),
        ("👍\u{200D}", "U+200D at character 2"),
        ("\u{200D}👍", "U+200D at character 1"),
        ("a\u{FE0F}", "U+FE0F"),
        ("1\u{FE0F}", "U+FE0F"),
        ("👍\u{FE0F}\u{FE0F}", "U+FE0F at character 3"),
        ("a\u{AD}b", "U+00AD"),
        ("\u{3164}", "U+3164"),
        ("\u{2028}", "U+2028"),
        ("\u{FEFF}a", "U+FEFF"),
        ("a\u{E0067}\u{E007F}", "U+E0067"),
        ("🏴\u{E0067}", "U+E0067"),
        ("🏴\u{E007F}", "U+E007F"),
        ("🏴\u{E0067}\u{E0062}\u{E007F}\u{E0067}\u{E007F}", "U+E0067 at character 5"),
        ("\u{E0001}", "U+E0001"),
        ("\u{FFFF}", "U+FFFF at character 1; reserved"),
    ] {
        let refused = check_text(text, Lines::One).unwrap_err();
        assert!(refused.contains(reason), "{text:?}: {refused}");
    }
}

#[test]
fn lines_are_a_choice() {
    assert_eq!(check_text("a\tb\nc\r\nd", Lines::Many), Ok(()));
    assert!(check_text("a\rb", Lines::Many).is_err());
    assert!(check_text("a\x0bb", Lines::Many).is_err());
    assert!(check_text("a\nb", Lines::One).is_err());
}

#[test]
fn quotes_are_cut_and_escaped() {
    assert_eq!(quote("anna"), "\"anna\"");
    assert_eq!(quote("a\r\n\u{1b}\u{202E}\""), r#""a\r\n\u{1b}\u{202e}\"""#);
    assert_eq!(quote(&"é".repeat(41)), format!("\"{}…\"", "é".repeat(40)));
}
