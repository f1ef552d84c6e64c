//! The canonical spelling of a filter: every joint written out, all text in quotes, no more parentheses than needed.

use std::fmt;

use super::{
    ast::{Expr, Matching, Operand, Relation, Test, TextField, TimeField},
    literal::quote,
};

impl<T: fmt::Display> fmt::Display for Expr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => write_joined(f, parts, " AND ", |_| false),
            Self::Or(parts) => write_joined(f, parts, " OR ", |part| matches!(part, Self::And(_))),
            Self::Not(inner) if matches!(**inner, Self::Test(_)) => write!(f, "NOT {inner}"),
            Self::Not(inner) => write!(f, "NOT ({inner})"),
            Self::Test(test) => write!(f, "{test}"),
        }
    }
}

fn write_joined<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr<T>],
    joint: &str,
    wrap: fn(&Expr<T>) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(joint)?;
        }
        if wrap(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search(operand) => write!(f, "\"{}\"", quote(operand.text())),
            Self::TextPresent(field) => write!(f, "{field}:*"),
            Self::AgePresent => f.write_str("age:*"),
            Self::Id(id) => write!(f, "id = \"{id}\""),
            Self::Text(field, matching, operand) => write_text(f, field, *matching, operand),
            Self::Role(role) => write!(f, "role = {role}"),
            Self::Status(status) => write!(f, "status = {status}"),
            Self::EmailVerified(verified) => write!(f, "email_verified = {verified}"),
            Self::Age(relation, age) => write!(f, "age {relation} {age}"),
            Self::Time(field, relation, time) => write!(f, "{field} {relation} \"{time}\""),
        }
    }
}

/// A comparison of text.
pub(super) fn write_text(
    f: &mut fmt::Formatter<'_>,
    field: &impl fmt::Display,
    matching: Matching,
    operand: &Operand,
) -> fmt::Result {
    let text = quote(operand.text());
    match matching {
        Matching::Is(relation) => write!(f, "{field} {relation} \"{text}\""),
        Matching::StartsWith => write!(f, "{field} = \"{text}*\""),
        Matching::EndsWith => write!(f, "{field} = \"*{text}\""),
        Matching::Contains => write!(f, "{field} = \"*{text}*\""),
        Matching::Has => write!(f, "{field}:\"{text}\""),
    }
}

impl fmt::Display for TextField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "email",
            Self::Username => "username",
            Self::Name => "name",
            Self::Phone => "phone",
            Self::Locale => "locale",
            Self::Attribute(key) => return write!(f, "attributes.\"{}\"", quote(key)),
        })
    }
}

impl fmt::Display for TimeField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}
