//! Orders after [AIP-132](https://google.aip.dev/132): in which order a list comes, and a place in it.
//!
//! `name, created_at desc` is by name, and among equal names the youngest first. Ties are broken by id, so
//! every order is total and a list can go on after any user.
//!
//! | field | order |
//! | --- | --- |
//! | `id` | as [`UserId`] compares; UUIDs that Roster made are in order of creation |
//! | `name` | alphabetical without regard to case; users without one come first |
//! | `email`, `username` | by unique key; users without one come first |
//! | `age` | by number; users without one come first |
//! | `role`, `status` | by their numbers in the API |
//! | `created_at`, `updated_at` | oldest first |

#[cfg(test)]
mod tests;

use std::{cmp::Ordering, fmt};

use super::{
    SyntaxError, User, UserId,
    syntax::{Problem, shown},
    text::{fold, unique_key},
};

/// Terms that an order may have.
pub const ORDER_MAX_TERMS: usize = 8;

/// Where and why an order could not be read.
pub type OrderError = SyntaxError;

/// A total order of users. The default is by id, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    terms: Vec<Term>,
    id: Direction,
}

/// Something to order by before the id decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// By this.
    pub field: OrderField,
    /// In this direction.
    pub direction: Direction,
}

/// Which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Small before large; absent first.
    #[default]
    Ascending,
    /// Large before small; absent last.
    Descending,
}

/// Fields besides the id that users can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderField {
    /// `name`, folded.
    Name,
    /// `email`, by its unique key.
    Email,
    /// `username`, by its unique key.
    Username,
    /// `age`.
    Age,
    /// `role`.
    Role,
    /// `status`.
    Status,
    /// `created_at`.
    CreatedAt,
    /// `updated_at`.
    UpdatedAt,
}

/// A place in an ordered list: the last user's values for the order's terms, and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// One value for each of [`Order::terms`].
    pub values: Vec<CursorValue>,
    /// Breaks ties, in the direction of [`Order::id_direction`].
    pub id: UserId,
}

/// A value that users are ordered by. Absent comes before all others, ascending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CursorValue {
    /// The user has none.
    Absent,
    /// Numbers, times (microseconds), and enums by number.
    Int(i64),
    /// Text, by its key.
    Text(String),
}

const ID: &str = "id";

const FIELDS: &[(&str, OrderField)] = &[
    ("name", OrderField::Name),
    ("email", OrderField::Email),
    ("username", OrderField::Username),
    ("age", OrderField::Age),
    ("role", OrderField::Role),
    ("status", OrderField::Status),
    ("created_at", OrderField::CreatedAt),
    ("updated_at", OrderField::UpdatedAt),
];

/// Only these, one byte each, may stand between words.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

impl Order {
    /// Reads an order: fields separated by commas, each with `asc` or `desc` if need be. Blank is the default.
    /// Terms after `id` decide nothing and are dropped.
    ///
    /// # Errors
    /// The first mistake and its place.
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        if text.trim_matches(SPACE).is_empty() {
            return Ok(Self::default());
        }
        Self::parse_terms(text).map_err(|problem| problem.locate(text))
    }

    fn parse_terms(text: &str) -> Result<Self, Problem> {
        let mut order = Self::default();
        let mut seen = Vec::new();
        let mut start = 0;
        for part in text.split(',') {
            let (at, name, direction) = parse_term(part, start)?;
            start += part.len() + 1;
            if seen.len() == ORDER_MAX_TERMS {
                return Err(Problem::new(at, format!("more than {ORDER_MAX_TERMS} terms")));
            }
            if seen.contains(&name) {
                return Err(Problem::new(at, format!("`{name}` stands here twice")));
            }
            let decided = seen.contains(&ID);
            seen.push(name);
            match FIELDS.iter().find(|(known, _)| *known == name) {
                _ if name == ID => order.id = direction,
                Some((_, field)) if !decided => order.terms.push(Term { field: *field, direction }),
                Some(_) => {}
                None => {
                    let known = FIELDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                    let message = format!("users cannot be ordered by {}; known are {ID}, {known}", shown(name));
                    return Err(Problem::new(at, message));
                }
            }
        }
        Ok(order)
    }

    /// What decides before the id does.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The direction of the id, which decides last.
    #[must_use]
    pub fn id_direction(&self) -> Direction {
        self.id
    }

    /// Whether this is by id, ascending.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is by a field that only some may read: see [`User::without_private`].
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.terms.iter().any(|term| term.field == OrderField::Age)
    }

    /// The place of `user` in this order.
    #[must_use]
    pub fn cursor_of(&self, user: &User) -> Cursor {
        Cursor { values: self.terms.iter().map(|term| term.field.value(user)).collect(), id: user.id.clone() }
    }

    /// Which of two users comes first. Every store orders the same way.
    #[must_use]
    pub fn compare(&self, a: &User, b: &User) -> Ordering {
        self.terms
            .iter()
            .map(|term| term.direction.apply(term.field.value(a).cmp(&term.field.value(b))))
            .find(|ordering| ordering.is_ne())
            .unwrap_or_else(|| self.id.apply(a.id.cmp(&b.id)))
    }
}

/// One term: where its name starts, the name, and the direction. `start` is the byte at which `part` starts.
fn parse_term(part: &str, start: usize) -> Result<(usize, &str, Direction), Problem> {
    let mut end = start;
    let words = part.split(SPACE).map(|word| {
        let at = end;
        end += word.len() + 1;
        (at, word)
    });
    let mut words = words.filter(|(_, word)| !word.is_empty());
    let Some((at, name)) = words.next() else {
        return Err(Problem::new(start, "a field is missing here"));
    };
    let direction = match words.next() {
        None | Some((_, "asc")) => Direction::Ascending,
        Some((_, "desc")) => Direction::Descending,
        Some((at, other)) => {
            return Err(Problem::new(
                at,
                format!("after a field comes `asc`, `desc` or a comma, not {}", shown(other)),
            ));
        }
    };
    match words.next() {
        Some((at, extra)) => Err(Problem::new(at, format!("a comma is missing before {}", shown(extra)))),
        None => Ok((at, name, direction)),
    }
}

impl Direction {
    /// `ordering`, which is of small before large, as it is in this direction.
    #[must_use]
    pub fn apply(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Ascending => ordering,
            Self::Descending => ordering.reverse(),
        }
    }
}

impl OrderField {
    /// What `user` is ordered by.
    fn value(self, user: &User) -> CursorValue {
        match self {
            Self::Name => CursorValue::Text(fold(&user.name)),
            Self::Email => CursorValue::Text(unique_key(&user.email)),
            Self::Username if user.username.is_empty() => CursorValue::Absent,
            Self::Username => CursorValue::Text(unique_key(&user.username)),
            Self::Age => user.age.map_or(CursorValue::Absent, |age| CursorValue::Int(age.into())),
            Self::Role => CursorValue::Int(user.role as i64),
            Self::Status => CursorValue::Int(user.status as i64),
            Self::CreatedAt => CursorValue::Int(user.created_at.0),
            Self::UpdatedAt => CursorValue::Int(user.updated_at.0),
        }
    }
}

/// The canonical spelling: equal orders print the same, and reading it gives the order back.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let name = FIELDS.iter().find(|(_, field)| *field == term.field).map_or("", |(name, _)| name);
            write!(f, "{comma}{name}{}", term.direction)?;
        }
        match (self.terms.is_empty(), self.id) {
            (true, direction) => write!(f, "{ID}{direction}"),
            (false, Direction::Descending) => write!(f, ", {ID} desc"),
            (false, Direction::Ascending) => Ok(()),
        }
    }
}

/// What follows the field's name.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ascending => "",
            Self::Descending => " desc",
        })
    }
}
