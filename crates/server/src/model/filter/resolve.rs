//! Gives names and values their meaning: which field, which type, which comparison.

use super::{
    ast::{Expr, Form, Matching, Operand, Relation, Test, TextField, TimeField},
    lexer::Comparator,
    literal::{Literal, Pattern},
};
use crate::model::{
    Role, Timestamp, UserId, UserStatus,
    syntax::{Problem, shown},
};

/// The left side of a comparison, or a bare word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    /// As it was written.
    pub word: Literal<'a>,
    /// The quoted text right after it, if the word ends in a dot.
    pub key: Option<Literal<'a>>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
enum Field {
    Id,
    Text(TextField),
    Role,
    Status,
    Age,
    EmailVerified,
    Time(TimeField),
    Attributes,
}

const FIELDS: &[(&str, Field)] = &[
    ("id", Field::Id),
    ("email", Field::Text(TextField::Email)),
    ("username", Field::Text(TextField::Username)),
    ("name", Field::Text(TextField::Name)),
    ("phone", Field::Text(TextField::Phone)),
    ("locale", Field::Text(TextField::Locale)),
    ("role", Field::Role),
    ("status", Field::Status),
    ("age", Field::Age),
    ("email_verified", Field::EmailVerified),
    ("created_at", Field::Time(TimeField::CreatedAt)),
    ("updated_at", Field::Time(TimeField::UpdatedAt)),
    ("attributes", Field::Attributes),
];

const ATTRIBUTE_PREFIX: &str = "attributes.";

const NO_TEXT: &str = "there is no text to compare with";

/// Words that look like joints and would otherwise search for themselves.
const FALSE_JOINTS: &[&str] = &["and", "or", "not", "&&", "||"];

/// A word or quoted text without a comparison: what a search looks for.
pub(super) fn bare(name: Name<'_>) -> Result<Expr, Problem> {
    let word = name.word;
    if name.key.is_some() {
        field(name)?;
    }
    if !word.quoted {
        if FALSE_JOINTS.iter().any(|joint| word.raw.eq_ignore_ascii_case(joint)) {
            let message = format!("{} joins nothing; write AND, OR, NOT, or put quotes around it", word.shown());
            return Err(word.problem(message));
        }
        if field(name).is_ok() {
            let message = format!(
                "the field {} is not compared with anything; put quotes around it to search for it",
                word.shown()
            );
            return Err(word.problem(message));
        }
    }
    let operand = Operand::new(word.text()?, Form::Folded);
    if operand.key().is_empty() {
        return Err(word.problem(NO_TEXT));
    }
    Ok(Expr::Test(Test::Search(operand)))
}

/// `name comparator value`
pub(super) fn comparison(name: Name<'_>, comparator: Comparator, value: Literal<'_>) -> Result<Expr, Problem> {
    if name.word.quoted {
        return Err(name.word.problem("the name of a field takes no quotes"));
    }
    let field = field(name)?;
    // Absent values make `!=` true and all else false, so it is exactly the opposite of `=`.
    if comparator == Comparator::NotEqual {
        return Ok(compare(&field, name.word, Comparator::Equal, value)?.not());
    }
    compare(&field, name.word, comparator, value)
}

fn field(name: Name<'_>) -> Result<Field, Problem> {
    let raw = name.word.raw;
    if let Some(rest) = raw.strip_prefix(ATTRIBUTE_PREFIX) {
        return match name.key {
            Some(key) if rest.is_empty() => Ok(Field::Text(TextField::Attribute(key.text()?))),
            None if !rest.is_empty() => {
                let key = Literal { at: name.word.at + ATTRIBUTE_PREFIX.len(), raw: rest, quoted: false };
                Ok(Field::Text(TextField::Attribute(key.text()?)))
            }
            _ => Err(name.word.problem("after `attributes.` comes one key, all of it in quotes or none of it")),
        };
    }
    let found = FIELDS.iter().find(|(known, _)| *known == raw);
    found.map(|(_, field)| field.clone()).ok_or_else(|| {
        let known = FIELDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        name.word.problem(format!("unknown field {}; known are {known} and attributes.KEY", shown(raw)))
    })
}

fn compare(field: &Field, name: Literal<'_>, comparator: Comparator, value: Literal<'_>) -> Result<Expr, Problem> {
    let test = match field {
        Field::Text(field) => return text(field, comparator, value),
        Field::Attributes => attribute_key(name, comparator, value)?,
        Field::Age if comparator == Comparator::Has && value.is_star() => Test::AgePresent,
        _ if comparator == Comparator::Has && value.is_star() => return Err(always_there(value, name.raw)),
        Field::Age => Test::Age(relation(comparator), number(value)?),
        Field::Time(field) => Test::Time(*field, relation(comparator), time(value)?),
        Field::Id | Field::Role | Field::Status | Field::EmailVerified if relation(comparator) != Relation::Equal => {
            return Err(name.problem(format!("`{}` has no order; it is compared with = != or :", name.raw)));
        }
        Field::Id => Test::Id(
            UserId::parse(&value.text()?)
                .map_err(|reason| value.problem(format!("{} is no id: it {reason}", value.shown())))?,
        ),
        Field::Role => Test::Role(member(value, Role::ALL, "ROLE_", "role")?),
        Field::Status => Test::Status(member(value, UserStatus::ALL, "USER_STATUS_", "status")?),
        Field::EmailVerified => Test::EmailVerified(truth(value)?),
    };
    Ok(Expr::Test(test))
}

fn text(field: &TextField, comparator: Comparator, value: Literal<'_>) -> Result<Expr, Problem> {
    match comparator {
        Comparator::Has if value.is_star() => presence(field, value),
        Comparator::Has => text_test(field, Matching::Has, value, value.text()?),
        Comparator::Equal | Comparator::NotEqual => pattern(field, value),
        _ => text_test(field, Matching::Is(relation(comparator)), value, value.text()?),
    }
}

/// `=` on text.
fn pattern(field: &TextField, value: Literal<'_>) -> Result<Expr, Problem> {
    let Pattern { open_start, text, open_end } = value.pattern()?;
    let open = open_start || open_end;
    if text.is_empty() && (open || !matches!(field, TextField::Attribute(_))) {
        let present = presence(field, value)?;
        return Ok(if open { present } else { present.not() });
    }
    let matching = match (open_start, open_end) {
        (false, false) => Matching::Is(Relation::Equal),
        (false, true) => Matching::StartsWith,
        (true, false) => Matching::EndsWith,
        (true, true) => Matching::Contains,
    };
    text_test(field, matching, value, text)
}

fn text_test(field: &TextField, matching: Matching, value: Literal<'_>, text: String) -> Result<Expr, Problem> {
    let operand = Operand::new(text, field.form(matching));
    let may_be_empty = matches!((field, matching), (TextField::Attribute(_), Matching::Is(Relation::Equal)));
    if operand.key().is_empty() && !may_be_empty {
        return Err(value.problem(NO_TEXT));
    }
    Ok(Expr::Test(Test::Text(field.clone(), matching, operand)))
}

fn presence(field: &TextField, value: Literal<'_>) -> Result<Expr, Problem> {
    match field {
        TextField::Email => Err(always_there(value, "email")),
        _ => Ok(Expr::Test(Test::TextPresent(field.clone()))),
    }
}

fn always_there(value: Literal<'_>, name: &str) -> Problem {
    value.problem(format!("every user has `{name}`, so do not ask whether it is there"))
}

fn attribute_key(name: Literal<'_>, comparator: Comparator, value: Literal<'_>) -> Result<Test, Problem> {
    if comparator != Comparator::Has || value.is_star() {
        let message =
            "`attributes` takes `:` and a key, as in attributes:team; compare one as in attributes.team = \"red\"";
        return Err(name.problem(message));
    }
    Ok(Test::TextPresent(TextField::Attribute(value.text()?)))
}

/// The relation that a sign stands for. Where there is nothing to contain, `:` means equal.
fn relation(comparator: Comparator) -> Relation {
    match comparator {
        Comparator::Equal | Comparator::NotEqual | Comparator::Has => Relation::Equal,
        Comparator::Less => Relation::Less,
        Comparator::LessOrEqual => Relation::LessOrEqual,
        Comparator::Greater => Relation::Greater,
        Comparator::GreaterOrEqual => Relation::GreaterOrEqual,
    }
}

fn number(value: Literal<'_>) -> Result<i64, Problem> {
    let parsed = value.text()?.parse();
    parsed.map_err(|_| value.problem(format!("{} is no whole number", value.shown())))
}

fn time(value: Literal<'_>) -> Result<Timestamp, Problem> {
    let parsed = Timestamp::parse(&value.text()?);
    parsed.ok_or_else(|| {
        value.problem(format!("{} is no time after RFC 3339, such as 2026-01-01T00:00:00Z", value.shown()))
    })
}

fn truth(value: Literal<'_>) -> Result<bool, Problem> {
    let parsed = value.text()?.parse();
    parsed.map_err(|_| value.problem(format!("{} is neither true nor false", value.shown())))
}

/// A member of an enum, with or without the API's prefix, in any case.
fn member<T: Copy>(value: Literal<'_>, all: &[(T, &str)], prefix: &str, kind: &str) -> Result<T, Problem> {
    let upper = value.text()?.to_ascii_uppercase();
    let name = upper.strip_prefix(prefix).unwrap_or(&upper);
    let found = all.iter().find(|(_, known)| *known == name);
    found.map(|(member, _)| *member).ok_or_else(|| {
        let known = all.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
        value.problem(format!("unknown {kind} {}; known are {known}", value.shown()))
    })
}
