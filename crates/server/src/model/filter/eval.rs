//! Filters applied in memory. This is what they mean; a store's translation must agree.

use std::cmp::Ordering;

use super::ast::{Expr, Matching, Operand, Relation, Test, TextField, TimeField};
use crate::model::{User, text::fold};

/// What a search looks through, and what a store keeps for it: the folded name, email and username, a line each.
#[must_use]
pub fn search_text(user: &User) -> String {
    [&user.name, &user.email, &user.username].map(|text| fold(text)).join("\n")
}

impl<T> Expr<T> {
    /// Whether it holds, if `test` says which comparisons do.
    pub(super) fn holds(&self, test: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(test)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(test)),
            Self::Not(inner) => !inner.holds(test),
            Self::Test(one) => test(one),
        }
    }
}

impl Test {
    pub(super) fn matches(&self, user: &User) -> bool {
        match self {
            Self::Search(operand) => search_text(user).contains(operand.key()),
            Self::TextPresent(field) => field.of(user).is_some(),
            Self::AgePresent => user.age.is_some(),
            Self::Id(id) => user.id == *id,
            Self::Text(field, matching, operand) => {
                field.of(user).is_some_and(|text| matching.holds(&field.form(*matching).of(text), operand))
            }
            Self::Role(role) => user.role == *role,
            Self::Status(status) => user.status == *status,
            Self::EmailVerified(verified) => user.email_verified == *verified,
            Self::Age(relation, age) => user.age.is_some_and(|own| relation.holds(i64::from(own).cmp(age))),
            Self::Time(field, relation, time) => relation.holds(match field {
                TimeField::CreatedAt => user.created_at.cmp(time),
                TimeField::UpdatedAt => user.updated_at.cmp(time),
            }),
        }
    }
}

impl TextField {
    /// What the user has there, if anything.
    fn of<'a>(&self, user: &'a User) -> Option<&'a str> {
        let text = match self {
            Self::Email => &user.email,
            Self::Username => &user.username,
            Self::Name => &user.name,
            Self::Phone => &user.phone,
            Self::Locale => &user.locale,
            Self::Attribute(key) => return user.attributes.get(key).map(String::as_str),
        };
        (!text.is_empty()).then_some(text)
    }
}

impl Matching {
    /// Whether `text`, already in the form of this comparison, stands so to `operand`.
    pub(super) fn holds(self, text: &str, operand: &Operand) -> bool {
        match self {
            Self::Is(relation) => relation.holds(text.cmp(operand.key())),
            Self::StartsWith => text.starts_with(operand.key()),
            Self::EndsWith => text.ends_with(operand.key()),
            Self::Contains | Self::Has => text.contains(operand.key()),
        }
    }
}

impl Relation {
    /// Whether two values that compare as `ordering` stand in this relation.
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
