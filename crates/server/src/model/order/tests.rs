//! The language of orders, and what a list may rely on.

use proptest::prelude::*;

use super::*;
use crate::model::filter::testing;

#[test]
fn reads_what_the_aip_allows() {
    for (written, canonical) in [
        ("", "id"),
        (" \n", "id"),
        ("id", "id"),
        ("id desc", "id desc"),
        ("name", "name"),
        ("name,id", "name"),
        (" name asc ,\tcreated_at   desc ", "name, created_at desc"),
        ("role, id desc, age", "role, id desc"),
    ] {
        let order = Order::parse(written).unwrap();
        assert_eq!(order.to_string(), canonical, "{written:?}");
        assert_eq!(order.is_default(), canonical == "id");
    }
}

#[test]
fn mistakes_name_their_place() {
    let all = FIELDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let known = "users cannot be ordered by `nmae`; known are id, name, email, username, age, role, status, \
                 created_at, updated_at";
    for (text, expected) in [
        ("age, nmae", format!("at character 6: {known}")),
        ("id, nmae", format!("at character 5: {known}")),
        ("name, name desc", "at character 7: `name` stands here twice".to_owned()),
        ("name down", "at character 6: after a field comes `asc`, `desc` or a comma, not `down`".to_owned()),
        ("name DESC", "at character 6: after a field comes `asc`, `desc` or a comma, not `DESC`".to_owned()),
        ("name desc age", "at character 11: a comma is missing before `age`".to_owned()),
        ("name,,age", "at character 6: a field is missing here".to_owned()),
        ("name, ", "at character 6: a field is missing here".to_owned()),
        (",", "at character 1: a field is missing here".to_owned()),
        ("é, name", format!("at character 1: {}", known.replace("nmae", "é"))),
        (&format!("{all}, id"), format!("at character {}: more than 8 terms", all.len() + 3)),
    ] {
        assert_eq!(Order::parse(text).unwrap_err().to_string(), expected, "{text:?}");
    }
}

proptest! {
    #![proptest_config(testing::config(500))]

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z_]{0,9}|([ ,]?(name|id|age|desc|asc|é|\u{3000})[ ,]){0,6}|.*") {
        match Order::parse(&text) {
            Ok(order) => prop_assert_eq!(Order::parse(&order.to_string()), Ok(order)),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.position)),
        }
    }

    /// Paging over cursors is right only if an order never ties and a cursor says all that it compares.
    #[test]
    fn orders_are_total_and_cursors_hold_them(users in testing::users(), order in testing::order()) {
        for a in &users {
            for b in &users {
                let ordering = order.compare(a, b);
                prop_assert_eq!(ordering, order.compare(b, a).reverse());
                prop_assert_eq!(ordering.is_eq(), a.id == b.id);
                prop_assert_eq!(ordering.is_eq(), order.cursor_of(a) == order.cursor_of(b));
            }
        }
    }
}
