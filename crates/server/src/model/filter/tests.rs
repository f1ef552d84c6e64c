//! The language as its module describes it, rule by rule.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{FILTER_MAX_BYTES, FILTER_MAX_COMPARISONS, FILTER_MAX_DEPTH, Filter, testing};
use crate::model::{Role, Timestamp, User, UserId, UserStatus};

fn parse(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).unwrap()
}

fn error(text: &str) -> String {
    Filter::parse(text).expect_err(text).to_string()
}

fn alice() -> User {
    User {
        id: UserId::parse("alice-1").unwrap(),
        email: "Alice@Example.com".to_owned(),
        name: "Alice Smith".to_owned(),
        username: "al*ice".to_owned(),
        role: Role::Admin,
        status: UserStatus::Active,
        age: Some(30),
        phone: "+4930123456".to_owned(),
        locale: "de-CH".to_owned(),
        attributes: BTreeMap::from(
            [("team", "Red"), ("cost center", "7"), ("a.b", "c"), ("empty", "")].map(|(k, v)| (k.into(), v.into())),
        ),
        email_verified: true,
        created_at: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(),
        updated_at: Timestamp::parse("2026-02-01T00:00:00Z").unwrap(),
        revision: 1,
    }
}

/// A user with nothing that can be left out.
fn bare() -> User {
    let empty = String::new;
    User {
        name: empty(),
        username: empty(),
        age: None,
        phone: empty(),
        locale: empty(),
        attributes: BTreeMap::new(),
        ..alice()
    }
}

#[track_caller]
fn assert_all(user: &User, kept: &[&str], left_out: &[&str]) {
    for text in kept {
        assert!(parse(text).matches(user), "{text} should keep the user");
    }
    for text in left_out {
        assert!(!parse(text).matches(user), "{text} should leave the user out");
    }
}

#[test]
fn blank_is_no_filter() {
    assert_eq!(Filter::parse(""), Ok(None));
    assert_eq!(Filter::parse(" \t\n\u{3000}"), Ok(None));
}

#[test]
fn joints_bind_as_the_aip_says() {
    for (written, meant) in [
        ("a AND b OR c", "a AND (b OR c)"),
        ("a OR b AND c", "(a OR b) AND c"),
        ("a b AND c OR d", "a AND b AND (c OR d)"),
        ("a b OR c d", "a AND (b OR c) AND d"),
        ("(a AND b) OR c", "((a) AND (b)) OR c"),
        ("-a OR NOT b", "(NOT a) OR (-b)"),
        ("NOT a b", "(NOT a) AND b"),
        ("NOT NOT a", "a"),
        ("NOT (NOT (a b))", "a AND b"),
        ("role!=ADMIN", "NOT role = ROLE_ADMIN"),
        ("(a)(b)", "a AND b"),
    ] {
        assert_eq!(parse(written), parse(meant), "{written}");
    }
    assert_ne!(parse("(a AND b) OR c"), parse("a AND b OR c"));
    assert_eq!(parse("b OR (a AND c) -name:x").to_string(), r#""b" OR ("a" AND "c") AND NOT name:"x""#);
}

#[test]
fn every_field_compares_by_its_rule() {
    assert_all(
        &alice(),
        &[
            "id=alice-1",
            "id:alice-1",
            "id != alice-2",
            "email = alice@example.com",
            "email=ALICE@EXAMPLE.COM",
            "email = *@example.COM",
            "email = alice@*",
            "email = \"*@EXAMPLE*\"",
            "email:EXAMPLE",
            "email < b",
            "email >= alice@example.com",
            r"username = 'AL\*ICE'",
            r"username=*\*ice",
            r"username:l\*i",
            "username:*",
            "username != \"\"",
            "name = 'Alice Smith'",
            "name != 'alice smith'",
            "name = Al*",
            "name = \"*Smith\"",
            "name = '*ce Sm*'",
            "name:SMITH",
            "name > alice",
            "name <= 'ALICE SMITH'",
            "name:*",
            "name = '*'",
            "phone=+4930123456",
            "phone:4930",
            "locale:ch",
            "locale=de*",
            "locale != de-ch",
            "attributes:team",
            "attributes.team=Red",
            "attributes.team:red",
            "attributes.team:*",
            "attributes.team>A",
            "attributes.\"cost center\" = 7",
            "attributes.'cost center':*",
            "attributes:\"cost center\"",
            "attributes.a.b = c",
            "attributes.empty = \"\"",
            "attributes.team != \"\"",
            "role = ADMIN",
            "role=ROLE_ADMIN",
            "role:admin",
            "role!=user",
            "status = USER_STATUS_ACTIVE",
            "age=30",
            "age>-1",
            "age<=30",
            "age:30",
            "age:*",
            "email_verified=true",
            "email_verified != false",
            "created_at = 2026-01-01T00:00:00Z",
            "created_at <= '2026-01-01T01:00:00+01:00'",
            "updated_at > 2026-01-01T00:00:00.5Z",
            "smith",
            "\"alice s\"",
            "EXAMPLE",
            "smith alice@example",
            "l\\*i",
        ],
        &[
            "id=alice-2",
            "email = alice",
            "email = *@example.org",
            "email:org",
            "email > b",
            "username = alice",
            "name = 'alice smith'",
            "name = al*",
            "name:smyth",
            "name = \"\"",
            "-name:*",
            "phone = 4930123456",
            "locale = de-ch",
            "attributes:red",
            "attributes.team = red",
            "attributes.empty:x",
            "attributes.none = \"\"",
            "role = USER",
            "status != active",
            "age > 30",
            "age != 30",
            "email_verified=false",
            "created_at < 2026-01-01T00:00:00Z",
            "smyth",
            "'Red'",
        ],
    );
}

#[test]
fn absent_values_fail_every_comparison_but_unequal() {
    for field in ["name", "username", "phone", "locale", "attributes.team"] {
        let texts =
            [format!("{field} != a"), format!("NOT {field}:*"), format!("NOT {field} < a"), format!("{field} != '*'")];
        assert_all(&bare(), &texts.each_ref().map(String::as_str), &[]);
        let texts = ["= a", "< zzz", "<= zzz", "> A", ">= A", ":a", ":*", "= a*", "= *a", "= *a*"]
            .map(|rest| format!("{field} {rest}"));
        assert_all(&bare(), &[], &texts.each_ref().map(String::as_str));
    }
    assert_all(
        &bare(),
        &["age != 30", "NOT age < 18", "NOT age >= 18", "name = \"\"", "attributes.team != \"\""],
        &["age < 18", "age >= 18", "age:*", "name != \"\"", "attributes.team = \"\"", "attributes:team"],
    );
}

#[test]
fn mistakes_name_their_place() {
    let known = "id, email, username, name, phone, locale, role, status, age, email_verified, created_at, updated_at, \
                 attributes and attributes.KEY";
    assert_eq!(error("role=USER  emial = x"), format!("at character 12: unknown field `emial`; known are {known}"));
    for (text, expected) in [
        ("name:é phne:1", "at character 8: unknown field `phne`"),
        ("role = CHIEF", "at character 8: unknown role `CHIEF`; known are USER, ADMIN, MODERATOR"),
        ("status=on", "at character 8: unknown status `on`; known are ACTIVE, INACTIVE"),
        ("role > USER", "at character 1: `role` has no order"),
        ("id < a", "at character 1: `id` has no order"),
        ("id = 'a b'", "at character 6: `a b` is no id: it must be 1 to 64"),
        ("age = old", "at character 7: `old` is no whole number"),
        ("age = 1.5", "at character 7: `1.5` is no whole number"),
        ("email_verified = yes", "at character 18: `yes` is neither true nor false"),
        ("created_at > 2026-01-01", "at character 14: `2026-01-01` is no time after RFC 3339"),
        ("email:*", "at character 7: `email` is always there"),
        ("role:*", "at character 6: `role` is always there"),
        ("email = ''", "at character 9: `email` is always there"),
        ("name:''", "at character 6: there is no text to compare with"),
        ("name < ''", "at character 8: there is no text to compare with"),
        ("\"\"", "at character 1: there is no text to compare with"),
        ("attributes = a", "at character 1: `attributes` takes `:` and a key"),
        ("attributes:*", "at character 1: `attributes` takes `:` and a key"),
        ("attributes. = a", "at character 1: after `attributes.` comes one key"),
        ("attributes.a.'b' = a", "at character 1: after `attributes.` comes one key"),
        ("'name' = a", "at character 1: the name of a field takes no quotes"),
        ("email_verified", "at character 1: the field `email_verified` is not compared with anything"),
        ("attributes.team", "at character 1: the field `attributes.team` is not compared"),
        ("attributes.'team'", "at character 1: the field `attributes.` is not compared"),
        ("alice.'team'", "at character 1: unknown field `alice.`"),
        ("a or b", "at character 3: `or` joins nothing; write AND, OR, NOT"),
        ("a && b", "at character 3: `&&` joins nothing"),
        ("a AND", "at character 6: a comparison such as `status = ACTIVE` belongs here, found the end"),
        ("OR a", "at character 1: a comparison such as `status = ACTIVE` belongs here, found `OR`"),
        ("a AND OR b", "at character 7: a comparison such as"),
        ("()", "at character 2: a comparison such as"),
        ("NOT", "at character 4: a comparison such as"),
        ("= a", "at character 1: a comparison such as"),
        ("age = 1 = 1", "at character 9: a comparison such as"),
        ("- a", "at character 1: `-` must stand directly before"),
        ("(a", "at character 1: `(` is not closed"),
        ("a (b OR (c)", "at character 3: `(` is not closed"),
        ("a)", "at character 2: `)` closes nothing"),
        ("name =", "at character 7: a value belongs after `=`, found the end"),
        ("age == 1", "at character 6: a value belongs after `=`, found `=`"),
        ("name = OR", "at character 8: `OR` is a keyword; put quotes around it"),
        ("role = (USER OR ADMIN)", "at character 8: a group is no value"),
        ("lower(name) = a", "at character 1: functions are not supported: `lower`"),
        ("name = lower(x)", "at character 8: functions are not supported: `lower`"),
        ("name = \"abc", "at character 8: the text that starts with \" has no closing \""),
        (r#"name = "abc\""#, "at character 8: the text that starts with \""),
        (r#"name = "a"b"#, "at character 11: a space is missing after the closing \""),
        (r#"name = a"b"#, "at character 9: a quote stands inside `a`"),
        (r#"name = "é\n""#, r"at character 10: unknown escape `\n`; known are"),
        (r"name = a\", r"at character 9: `\` escapes nothing"),
        ("name = a*b", "at character 9: `*` is a wildcard only at the start or the end"),
        ("name:al*", "at character 8: `*` is a wildcard only after = and !="),
        ("al*", "at character 3: `*` is a wildcard only after"),
    ] {
        let error = error(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    assert!(error(&format!("{} = 1", "é".repeat(500))).len() < 400, "a message repeats only the start of a long word");
}

#[test]
fn bounds_are_errors_and_never_overflow() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(FILTER_MAX_DEPTH)).is_ok());
    assert_eq!(error(&nested(FILTER_MAX_DEPTH + 1)), "at character 33: more than 32 parentheses are open");
    assert!(Filter::parse(&"(a) ".repeat(FILTER_MAX_DEPTH + 1)).is_ok(), "only what is open counts");
    assert!(error(&nested(2000)).starts_with("at character 33: "));
    assert_eq!(error(&nested(10_000)), "at character 1: the filter has 20001 bytes; at most 4096 are allowed");
    let negations = "-".repeat(FILTER_MAX_BYTES - 1);
    assert_eq!(parse(&format!("{negations}a")), parse("-a"), "an odd number of negations is one");

    assert!(Filter::parse(&"a ".repeat(FILTER_MAX_COMPARISONS)).is_ok());
    assert_eq!(error(&"a ".repeat(65)), "at character 129: the filter has more than 64 comparisons");
    assert_eq!(error(&"a".repeat(FILTER_MAX_BYTES + 1)).split(';').count(), 2);
}

proptest! {
    #![proptest_config(testing::config(2000))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Filter::parse(&text);
    }

    /// Pieces of the language in any sequence: much of it is refused, what is not survives a round trip.
    #[test]
    fn any_sequence_of_pieces_is_read_or_refused(pieces in prop::collection::vec(prop::sample::select(&[
        "name", "age", "role", "attributes", ".", "=", "!=", "<", ":", "*", "-", "(", ")", " ", " AND ", " OR ", "NOT ",
        "\"", "'", "\\", "ADMIN", "1", "é", "!", "created_at", "2026-01-01T00:00:00Z", "attributes.\"", "a",
    ][..]), 0..12)) {
        let text = pieces.concat();
        match Filter::parse(&text) {
            Ok(Some(filter)) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(Some(filter)), "{}", text),
            Ok(None) => prop_assert!(text.trim().is_empty()),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.position), "{}: {}", text, error),
        }
    }

    #[test]
    fn the_canonical_spelling_reads_back(filter in testing::filter()) {
        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(Some(filter)));
    }
}
