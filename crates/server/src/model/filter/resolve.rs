//! Gives names and values their meaning, whatever a filter is about: see [`Subject`].

use super::{
    ast::{Expr, Form, Matching, Operand, Relation},
    lexer::Comparator,
    literal::{Literal, Pattern},
};
use crate::model::{
    Timestamp,
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

/// Said of an empty operand.
pub(super) const NO_TEXT: &str = "there is no text to compare with";

/// What filters can be about. Implemented by the comparisons that it has.
pub(super) trait Subject: Sized {
    /// A word or quoted text without a comparison.
    fn bare(name: Name<'_>) -> Result<Expr<Self>, Problem>;

    /// `name comparator value`; never `!=`, which is the exact opposite of `=`.
    fn comparison(name: Name<'_>, comparator: Comparator, value: Literal<'_>) -> Result<Expr<Self>, Problem>;
}

/// A field that holds text. Empty text counts as absent.
pub(super) trait Text {
    /// What comparing it makes.
    type Test;

    /// The form in which the field and an operand are brought together.
    fn form(&self, matching: Matching) -> Form;

    /// The comparison.
    fn test(&self, matching: Matching, operand: Operand) -> Self::Test;

    /// The question whether there is a text; the field's name if there always is.
    fn presence(&self) -> Result<Self::Test, &'static str>;

    /// Whether a text can be there and be empty.
    fn may_be_empty(&self) -> bool {
        false
    }
}

/// `name comparator value`
pub(super) fn comparison<T: Subject>(
    name: Name<'_>,
    comparator: Comparator,
    value: Literal<'_>,
) -> Result<Expr<T>, Problem> {
    if name.word.quoted {
        return Err(name.word.problem("the name of a field takes no quotes"));
    }
    // Absent values make `!=` true and all else false, so it is exactly the opposite of `=`.
    if comparator == Comparator::NotEqual {
        return Ok(T::comparison(name, Comparator::Equal, value)?.not());
    }
    T::comparison(name, comparator, value)
}

/// A name that stands for nothing.
pub(super) fn unknown(name: Name<'_>, known: impl Iterator<Item = &'static str>, more: &str) -> Problem {
    let known = known.collect::<Vec<_>>().join(", ");
    name.word.problem(format!("unknown field {}; known are {known}{more}", shown(name.word.raw)))
}

/// A comparison of text.
pub(super) fn text<F: Text>(field: &F, comparator: Comparator, value: Literal<'_>) -> Result<Expr<F::Test>, Problem> {
    match comparator {
        Comparator::Has if value.is_star() => presence(field, value),
        Comparator::Has => text_test(field, Matching::Has, value, value.text()?),
        Comparator::Equal | Comparator::NotEqual => pattern(field, value),
        _ => text_test(field, Matching::Is(relation(comparator)), value, value.text()?),
    }
}

/// `=` on text.
fn pattern<F: Text>(field: &F, value: Literal<'_>) -> Result<Expr<F::Test>, Problem> {
    let Pattern { open_start, text, open_end } = value.pattern()?;
    let open = open_start || open_end;
    if text.is_empty() && (open || !field.may_be_empty()) {
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

fn text_test<F: Text>(
    field: &F,
    matching: Matching,
    value: Literal<'_>,
    text: String,
) -> Result<Expr<F::Test>, Problem> {
    let operand = Operand::new(text, field.form(matching));
    let may_be_empty = field.may_be_empty() && matching == Matching::Is(Relation::Equal);
    if operand.key().is_empty() && !may_be_empty {
        return Err(value.problem(NO_TEXT));
    }
    Ok(Expr::Test(field.test(matching, operand)))
}

fn presence<F: Text>(field: &F, value: Literal<'_>) -> Result<Expr<F::Test>, Problem> {
    field.presence().map(Expr::Test).map_err(|name| always_there(value, name))
}

/// A question that has one answer.
pub(super) fn always_there(value: Literal<'_>, name: &str) -> Problem {
    value.problem(format!("`{name}` is always there, so do not ask whether it is"))
}

/// The relation that a sign stands for. Where there is nothing to contain, `:` means equal.
pub(super) fn relation(comparator: Comparator) -> Relation {
    match comparator {
        Comparator::Equal | Comparator::NotEqual | Comparator::Has => Relation::Equal,
        Comparator::Less => Relation::Less,
        Comparator::LessOrEqual => Relation::LessOrEqual,
        Comparator::Greater => Relation::Greater,
        Comparator::GreaterOrEqual => Relation::GreaterOrEqual,
    }
}

/// A whole number.
pub(super) fn number(value: Literal<'_>) -> Result<i64, Problem> {
    let parsed = value.text()?.parse();
    parsed.map_err(|_| value.problem(format!("{} is no whole number", value.shown())))
}

/// A time after RFC 3339.
pub(super) fn time(value: Literal<'_>) -> Result<Timestamp, Problem> {
    let parsed = Timestamp::parse(&value.text()?);
    parsed.ok_or_else(|| {
        value.problem(format!("{} is no time after RFC 3339, such as 2026-01-01T00:00:00Z", value.shown()))
    })
}

/// `true` or `false`.
pub(super) fn truth(value: Literal<'_>) -> Result<bool, Problem> {
    let parsed = value.text()?.parse();
    parsed.map_err(|_| value.problem(format!("{} is neither true nor false", value.shown())))
}

/// A member of an enum, with or without the API's prefix, in any case.
pub(super) fn member<T: Copy>(value: Literal<'_>, all: &[(T, &str)], prefix: &str, kind: &str) -> Result<T, Problem> {
    let upper = value.text()?.to_ascii_uppercase();
    let name = upper.strip_prefix(prefix).unwrap_or(&upper);
    let found = all.iter().find(|(_, known)| *known == name);
    found.map(|(member, _)| *member).ok_or_else(|| {
        let known = all.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
        value.problem(format!("unknown {kind} {}; known are {known}", value.shown()))
    })
}
