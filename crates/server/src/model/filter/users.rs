//! What filters of users are about: the names of their fields, and what comparing them means.

use super::{
    ast::{Expr, Form, Matching, Operand, Relation, Test, TextField, TimeField},
    lexer::Comparator,
    literal::Literal,
    resolve::{NO_TEXT, Name, Subject, Text, always_there, member, number, relation, text, time, truth, unknown},
};
use crate::model::{Role, UserId, UserStatus, syntax::Problem};

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

/// Words that look like joints and would otherwise search for themselves.
const FALSE_JOINTS: &[&str] = &["and", "or", "not", "&&", "||"];

impl Subject for Test {
    fn bare(name: Name<'_>) -> Result<Expr, Problem> {
        bare(name)
    }

    fn comparison(name: Name<'_>, comparator: Comparator, value: Literal<'_>) -> Result<Expr, Problem> {
        compare(&field(name)?, name.word, comparator, value)
    }
}

impl Text for TextField {
    type Test = Test;

    fn form(&self, matching: Matching) -> Form {
        Self::form(self, matching)
    }

    fn test(&self, matching: Matching, operand: Operand) -> Test {
        Test::Text(self.clone(), matching, operand)
    }

    fn presence(&self) -> Result<Test, &'static str> {
        match self {
            Self::Email => Err("email"),
            _ => Ok(Test::TextPresent(self.clone())),
        }
    }

    fn may_be_empty(&self) -> bool {
        matches!(self, Self::Attribute(_))
    }
}

/// A word or quoted text without a comparison: what a search looks for.
fn bare(name: Name<'_>) -> Result<Expr, Problem> {
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
    found
        .map(|(_, field)| field.clone())
        .ok_or_else(|| unknown(name, FIELDS.iter().map(|(name, _)| *name), " and attributes.KEY"))
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

fn attribute_key(name: Literal<'_>, comparator: Comparator, value: Literal<'_>) -> Result<Test, Problem> {
    if comparator != Comparator::Has || value.is_star() {
        let message =
            "`attributes` takes `:` and a key, as in attributes:team; compare one as in attributes.team = \"red\"";
        return Err(name.problem(message));
    }
    Ok(Test::TextPresent(TextField::Attribute(value.text()?)))
}
