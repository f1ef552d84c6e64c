//! An order as `ORDER BY`, and a cursor as the condition to come after it.

use super::builder::{SqlBuilder, Value};
use crate::model::{
    UserId,
    order::{Cursor, CursorValue, Direction, Order, OrderField, Term},
};

const ID: &str = "u.id";

/// Appends what comes after `ORDER BY`. SQLite takes NULL as the smallest value, as orders take what is absent; PostgreSQL
/// has to be told.
pub fn order_by(order: &Order, sql: &mut SqlBuilder) {
    for term in order.terms() {
        sql.push(column(term.field)).push(suffix(term.direction));
        if nullable(term.field) {
            match term.direction {
                Direction::Ascending => sql.push_either("", " NULLS FIRST"),
                Direction::Descending => sql.push_either("", " NULLS LAST"),
            };
        }
        sql.push(", ");
    }
    sql.push(ID).push(suffix(order.id_direction()));
}

/// Appends the condition that a user comes after `cursor`, a place in `order`. It can be joined with others by `AND`.
///
/// Where all terms run one way it is a comparison of rows. Otherwise each term bounds its column, so that an
/// index on the first can start at the cursor, and hands ties on to the next.
pub fn after_cursor(order: &Order, cursor: &Cursor, sql: &mut SqlBuilder) {
    let keys: Vec<_> = order.terms().iter().zip(&cursor.values).collect();
    let last = (order.id_direction(), &cursor.id);
    if !keys.is_empty() && keys.iter().all(|(term, value)| fits_row(term, value, last.0)) {
        push_row(&keys, last, sql);
    } else {
        push_chain(&keys, last, sql);
    }
}

/// Whether a term can be part of a comparison of rows that ends in the id. What is null is never after a row, so
/// null must not come last.
fn fits_row(term: &Term, value: &CursorValue, id_direction: Direction) -> bool {
    let absent_last = nullable(term.field) && term.direction == Direction::Descending;
    term.direction == id_direction && *value != CursorValue::Absent && !absent_last
}

/// `(a, b, u.id) > (?, ?, ?)`
fn push_row(keys: &[(&Term, &CursorValue)], (direction, id): (Direction, &UserId), sql: &mut SqlBuilder) {
    sql.push("(");
    for (term, _) in keys {
        sql.push(column(term.field)).push(", ");
    }
    sql.push(ID).push(")").push(beyond(direction)).push("(");
    for (_, value) in keys {
        sql.bind(to_sql(value)).push(", ");
    }
    sql.bind(id).push(")");
}

/// `(a >= ? AND (a > ? OR …))`, which ends in `u.id > ?`.
fn push_chain(keys: &[(&Term, &CursorValue)], last: (Direction, &UserId), sql: &mut SqlBuilder) {
    let Some(((term, value), rest)) = keys.split_first() else {
        sql.push(ID).push(beyond(last.0)).bind(last.1);
        return;
    };
    let column = column(term.field);
    sql.push("(").push(column);
    match (value, term.direction) {
        (CursorValue::Absent, Direction::Ascending) => {
            sql.push(" IS NOT NULL OR ");
            push_chain(rest, last, sql);
        }
        (CursorValue::Absent, Direction::Descending) => {
            sql.push(" IS NULL AND ");
            push_chain(rest, last, sql);
        }
        (value, direction) => {
            let absent_last = nullable(term.field) && direction == Direction::Descending;
            if absent_last {
                sql.push(" IS NULL OR ").push(column);
            }
            sql.push(at_or_beyond(direction)).bind(to_sql(value)).push(" AND (");
            sql.push(column).push(beyond(direction)).bind(to_sql(value)).push(" OR ");
            push_chain(rest, last, sql);
            sql.push(")");
        }
    }
    sql.push(")");
}

fn column(field: OrderField) -> &'static str {
    match field {
        OrderField::Name => "u.name_key",
        OrderField::Email => "u.email_key",
        OrderField::Username => "u.username_key",
        OrderField::Age => "u.age",
        OrderField::Role => "u.role",
        OrderField::Status => "u.status",
        OrderField::CreatedAt => "u.created_at",
        OrderField::UpdatedAt => "u.updated_at",
    }
}

fn nullable(field: OrderField) -> bool {
    matches!(field, OrderField::Username | OrderField::Age)
}

fn suffix(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "",
        Direction::Descending => " DESC",
    }
}

fn beyond(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => " > ",
        Direction::Descending => " < ",
    }
}

fn at_or_beyond(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => " >= ",
        Direction::Descending => " <= ",
    }
}

fn to_sql(value: &CursorValue) -> Value {
    match value {
        CursorValue::Absent => Value::Null,
        CursorValue::Int(number) => Value::Int(*number),
        CursorValue::Text(text) => Value::Text(text.clone()),
    }
}
