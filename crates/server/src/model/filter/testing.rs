//! Random users, filters and orders for property tests. All draw from small pools, so that they often meet.

use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::{select, subsequence},
};

use super::{
    Filter, FilterOf,
    ast::{Expr, Form, Matching, Operand, Relation, Test, TextField, TimeField},
};
use crate::model::{Role, Timestamp, User, UserId, UserStatus, order::Order};

/// The same cases in every run.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(160);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

const TEXTS: &[&str] = &[
    "a",
    "A",
    "al",
    "Al",
    "Alice",
    "alice",
    "ALICE SMITH",
    "li",
    "Bob",
    "b",
    "z",
    "Zoë",
    "ZOË",
    "ß",
    "éa",
    "e\u{301}a",
    "ＡＬ",
    "*",
    "a*b",
    "\\",
    "\"",
    "O'Brien",
    "%",
    "_",
    "[a-z]",
    "\u{10ffff}",
    "\u{d7ff}",
    "\u{d7ff}z",
    "\u{e000}",
    "a\u{10ffff}",
    "1",
    "-1",
    ".",
    "AND",
    "café 😀",
    "+49",
    "de-CH",
];

const KEYS: &[&str] = &["team", "a.b", "cost center", "\"", "\\", "$", "[0]", "é", "*", "AND", "12"];

const TIMES: &[i64] = &[-1, 0, 1, 1_767_225_600_000_000, 1_767_225_600_000_001];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![select(&["a", "al", "B", "Bob", "alice"][..]), select(TEXTS)].prop_map(str::to_owned)
}

fn id() -> impl Strategy<Value = UserId> {
    prop_oneof![
        select(&["a", "b", "a1", "Z", "0", "zz", "user:7"][..]).prop_map(|text| UserId::Text(text.into())),
        (0..6u128).prop_map(|n| UserId::Uuid(uuid::Uuid::from_u128(n << 100))),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    select(Role::ALL).prop_map(|(role, _)| role)
}

fn status() -> impl Strategy<Value = UserStatus> {
    select(UserStatus::ALL).prop_map(|(status, _)| status)
}

fn time() -> impl Strategy<Value = Timestamp> {
    select(TIMES).prop_map(Timestamp)
}

/// Users whose ids differ. Nothing else need differ, so orders have ties to break.
pub(crate) fn users() -> impl Strategy<Value = Vec<User>> {
    btree_map(id(), user(), 0..12).prop_map(|users| users.into_iter().map(|(id, user)| User { id, ..user }).collect())
}

fn user() -> impl Strategy<Value = User> {
    let optional = || prop_oneof![2 => text(), 1 => Just(String::new())];
    let texts = (text(), optional(), optional(), optional(), optional());
    let values = (role(), status(), option::of(0..4u8), any::<bool>(), time(), time());
    let attributes = btree_map(select(KEYS).prop_map(str::to_owned), optional(), 0..3);
    (texts, values, attributes).prop_map(|(texts, values, attributes)| {
        let (email, name, username, phone, locale) = texts;
        let (role, status, age, email_verified, created_at, updated_at) = values;
        let id = UserId::Text("replaced".into());
        User {
            id,
            email,
            name,
            username,
            role,
            status,
            age,
            phone,
            locale,
            attributes,
            email_verified,
            created_at,
            updated_at,
            revision: 1,
        }
    })
}

/// Any filter that could have been parsed.
pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let leaf = test().prop_map(Expr::Test);
    let expr = leaf.prop_recursive(5, 24, 3, |inner| {
        let parts = || vec(inner.clone(), 1..4);
        prop_oneof![parts().prop_map(Expr::and), parts().prop_map(Expr::or), inner.clone().prop_map(Expr::not)]
    });
    expr.prop_map(FilterOf)
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        1 => text().prop_map(|text| Test::Search(Operand::new(text, Form::Folded))),
        1 => text_field().prop_filter("always there", |field| *field != TextField::Email).prop_map(Test::TextPresent),
        1 => Just(Test::AgePresent),
        1 => id().prop_map(Test::Id),
        6 => text_test(),
        1 => role().prop_map(Test::Role),
        1 => status().prop_map(Test::Status),
        1 => any::<bool>().prop_map(Test::EmailVerified),
        2 => (relation(), -1..5i64).prop_map(|(relation, age)| Test::Age(relation, age)),
        1 => (select(&[TimeField::CreatedAt, TimeField::UpdatedAt][..]), relation(), time())
            .prop_map(|(field, relation, time)| Test::Time(field, relation, time)),
    ]
}

fn text_test() -> impl Strategy<Value = Test> {
    let matching = prop_oneof![
        relation().prop_map(Matching::Is),
        select(&[Matching::StartsWith, Matching::EndsWith, Matching::Contains, Matching::Has][..]),
    ];
    (text_field(), matching, text()).prop_map(|(field, matching, text)| {
        // An empty operand has a meaning only here.
        let empty =
            matches!((&field, matching), (TextField::Attribute(_), Matching::Is(Relation::Equal))) && text == "z";
        let operand = Operand::new(if empty { String::new() } else { text }, field.form(matching));
        Test::Text(field, matching, operand)
    })
}

fn text_field() -> impl Strategy<Value = TextField> {
    use TextField::{Attribute, Email, Locale, Name, Phone, Username};
    prop_oneof![
        5 => select(&[Email, Username, Name, Phone, Locale][..]),
        2 => select(KEYS).prop_map(|key| Attribute(key.to_owned())),
    ]
}

fn relation() -> impl Strategy<Value = Relation> {
    use Relation::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    select(&[Equal, Less, LessOrEqual, Greater, GreaterOrEqual][..])
}

/// Any order, in the spelling of a caller. Half of them run one way throughout, which stores treat apart.
pub(crate) fn order() -> impl Strategy<Value = Order> {
    let names = ["name", "email", "username", "age", "role", "status", "created_at", "updated_at"];
    let names = (subsequence(names.to_vec(), 0..4).prop_shuffle(), any::<bool>());
    let direction = || select(&["", " asc", " desc"][..]);
    let directions = prop_oneof![vec(direction(), 4), direction().prop_map(|direction| vec![direction; 4])];
    (names, directions).prop_map(|((mut names, by_id), directions)| {
        names.extend(by_id.then_some("id"));
        let terms: Vec<_> =
            names.iter().zip(directions).map(|(name, direction)| format!("{name}{direction}")).collect();
        Order::parse(&terms.join(" , ")).unwrap()
    })
}
