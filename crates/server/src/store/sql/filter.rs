//! A filter as a condition.
//!
//! SQL knows a third truth, NULL, and filters do not. Negations are pushed down to the comparisons, so `AND` and `OR`
//! are all that stands above them: there NULL acts as false, which is what a comparison with nothing is in a filter.
//! A negated comparison is then written so that it is never NULL. This leaves plain comparisons of plain columns, which
//! indexes can serve.

use super::builder::{Dialect, SqlBuilder, TRIGRAM, Value};
use crate::model::{
    filter::{
        Filter,
        ast::{Expr, Form, Matching, Operand, Relation, Test, TextField, TimeField},
    },
    text::fold,
};

/// Appends the condition that `filter` sets. It can be joined with others by `AND`.
pub fn where_filter(filter: &Filter, sql: &mut SqlBuilder) {
    push_expr(filter.expr(), false, sql, push_test);
}

/// Appends an expression whose comparisons `test` appends, each as it is or negated.
pub(super) fn push_expr<T>(expr: &Expr<T>, negated: bool, sql: &mut SqlBuilder, test: fn(&T, bool, &mut SqlBuilder)) {
    match expr {
        Expr::Not(inner) => push_expr(inner, !negated, sql, test),
        Expr::And(parts) if negated => push_any(parts, negated, sql, test),
        Expr::Or(parts) if !negated => push_any(parts, negated, sql, test),
        Expr::And(parts) | Expr::Or(parts) => push_joined(parts, negated, " AND ", sql, test),
        Expr::Test(one) => test(one, negated, sql),
    }
}

fn push_any<T>(parts: &[Expr<T>], negated: bool, sql: &mut SqlBuilder, test: fn(&T, bool, &mut SqlBuilder)) {
    sql.push("(");
    push_joined(parts, negated, " OR ", sql, test);
    sql.push(")");
}

fn push_joined<T>(
    parts: &[Expr<T>],
    negated: bool,
    joint: &'static str,
    sql: &mut SqlBuilder,
    test: fn(&T, bool, &mut SqlBuilder),
) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            sql.push(joint);
        }
        push_expr(part, negated, sql, test);
    }
}

fn push_test(test: &Test, negated: bool, sql: &mut SqlBuilder) {
    match test {
        Test::Search(operand) => {
            sql.push(if negated { "NOT " } else { "" });
            sql.push_contains(
                |sql| {
                    sql.push("u.search_text");
                },
                operand.key(),
            );
        }
        Test::TextPresent(field) => push_presence(field, negated, sql),
        Test::AgePresent => {
            sql.push(if negated { "u.age IS NULL" } else { "u.age IS NOT NULL" });
        }
        Test::Id(id) => push_comparison("u.id", Relation::Equal, id, negated, sql),
        Test::Text(field, matching, operand) => {
            push_nullable(negated, sql, |sql| push_text(field, *matching, operand, sql));
        }
        Test::Role(role) => push_comparison("u.role", Relation::Equal, *role as i64, negated, sql),
        Test::Status(status) => push_comparison("u.status", Relation::Equal, *status as i64, negated, sql),
        Test::EmailVerified(verified) => push_comparison("u.email_verified", Relation::Equal, *verified, negated, sql),
        Test::Age(relation, age) => {
            push_nullable(negated, sql, |sql| push_comparison("u.age", *relation, *age, false, sql));
        }
        Test::Time(field, relation, time) => {
            let column = match field {
                TimeField::CreatedAt => "u.created_at",
                TimeField::UpdatedAt => "u.updated_at",
            };
            push_comparison(column, *relation, time.0, negated, sql);
        }
    }
}

/// A condition that may be NULL, or its exact opposite, which is not.
pub(super) fn push_nullable(negated: bool, sql: &mut SqlBuilder, push: impl FnOnce(&mut SqlBuilder)) {
    if negated {
        sql.push("(");
        push(sql);
        sql.push(") IS NOT TRUE");
    } else {
        push(sql);
    }
}

/// Compares a column, which is not null if the comparison is `negated`.
pub(super) fn push_comparison(
    column: &'static str,
    relation: Relation,
    value: impl Into<Value>,
    negated: bool,
    sql: &mut SqlBuilder,
) {
    sql.push(column).push(operator(relation, negated)).bind(value);
}

fn operator(relation: Relation, negated: bool) -> &'static str {
    match (relation, negated) {
        (Relation::Equal, false) => " = ",
        (Relation::Equal, true) => " <> ",
        (Relation::Less, false) | (Relation::GreaterOrEqual, true) => " < ",
        (Relation::LessOrEqual, false) | (Relation::Greater, true) => " <= ",
        (Relation::Greater, false) | (Relation::LessOrEqual, true) => " > ",
        (Relation::GreaterOrEqual, false) | (Relation::Less, true) => " >= ",
    }
}

fn push_presence(field: &TextField, negated: bool, sql: &mut SqlBuilder) {
    match field {
        TextField::Name | TextField::Phone | TextField::Locale => {
            push_form(field, Form::Stored, sql);
            sql.push(if negated { " = ''" } else { " <> ''" });
        }
        TextField::Email | TextField::Username | TextField::Attribute(_) => {
            push_form(field, field.form(Matching::Is(Relation::Equal)), sql);
            sql.push(if negated { " IS NULL" } else { " IS NOT NULL" });
        }
    }
}

/// A comparison of text: NULL or false if there is none.
fn push_text(field: &TextField, matching: Matching, operand: &Operand, sql: &mut SqlBuilder) {
    // Equal names have equal keys, and those are what an index has.
    if (field, matching) == (&TextField::Name, Matching::Is(Relation::Equal)) {
        sql.push("u.name_key = ").bind(fold(operand.text())).push(" AND ");
    }
    let empty_is_absent = matches!(field, TextField::Name | TextField::Phone | TextField::Locale);
    let form = field.form(matching);
    push_matching(&|sql| push_form(field, form, sql), empty_is_absent, matching, operand, sql);
    if let Some(part) = part_of_search_text(field, matching, operand)
        && sql.dialect() == Dialect::Postgres
        && part.chars().count() >= TRIGRAM
    {
        sql.push(" AND ");
        sql.push_contains(
            |sql| {
                sql.push("u.search_text");
            },
            &part,
        );
    }
}

/// What is in the search text of every user that matches: PostgreSQL has an index over that, and none over names.
fn part_of_search_text(field: &TextField, matching: Matching, operand: &Operand) -> Option<String> {
    match (field, matching) {
        (TextField::Name, Matching::Is(Relation::Equal)) => Some(fold(operand.text())),
        (TextField::Name, Matching::Has) => Some(operand.key().to_owned()),
        // Folding can join what is not ASCII with what is beside it.
        (TextField::Name, Matching::StartsWith | Matching::EndsWith | Matching::Contains)
            if operand.key().is_ascii() =>
        {
            Some(fold(operand.key()))
        }
        _ => None,
    }
}

/// A comparison of the text that `column` appends with the operand. Where nothing is stored as '', that is less than
/// anything.
pub(super) fn push_matching(
    column: &dyn Fn(&mut SqlBuilder),
    empty_is_absent: bool,
    matching: Matching,
    operand: &Operand,
    sql: &mut SqlBuilder,
) {
    let key = operand.key().to_owned();
    match matching {
        Matching::Is(relation) => {
            if empty_is_absent && matches!(relation, Relation::Less | Relation::LessOrEqual) {
                column(sql);
                sql.push(" > '' AND ");
            }
            column(sql);
            sql.push(operator(relation, false)).bind(key);
        }
        Matching::StartsWith => {
            let end = after_prefix(&key);
            column(sql);
            sql.push(" >= ").bind(key);
            if let Some(end) = end {
                sql.push(" AND ");
                column(sql);
                sql.push(" < ").bind(end);
            }
        }
        Matching::EndsWith => {
            sql.push_ends_with(column, &key);
        }
        Matching::Contains | Matching::Has => {
            sql.push_contains(column, &key);
        }
    }
}

/// The field in the form in which it is compared: a plain column wherever the table has one.
fn push_form(field: &TextField, form: Form, sql: &mut SqlBuilder) {
    let lower = form == Form::AsciiLower;
    if lower {
        sql.push("lower(");
    }
    match field {
        TextField::Email => sql.push("u.email_key"),
        TextField::Username => sql.push("u.username_key"),
        TextField::Name if form == Form::Folded => sql.push("u.name_key"),
        TextField::Name => sql.push("u.name"),
        TextField::Phone => sql.push("u.phone"),
        TextField::Locale => sql.push("u.locale"),
        TextField::Attribute(key) => match sql.dialect() {
            Dialect::Sqlite => sql.push("u.attributes ->> ").bind(json_path(key)),
            Dialect::Postgres => sql.push("(u.attributes ->> ").bind(key.as_str()).push(") COLLATE \"C\""),
        },
    };
    if lower {
        sql.push(")");
    }
}

/// The path of a key at the top of a JSON object. SQLite reads the quoted key as a JSON string.
fn json_path(key: &str) -> String {
    format!("$.{}", serde_json::Value::from(key))
}

/// The least text that comes after all those that start with `prefix`, if there is one.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // A range of characters steps over the gap where UTF-16 keeps its surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}
