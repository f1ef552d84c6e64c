//! Filters after [AIP-160](https://google.aip.dev/160): which users a list keeps.
//!
//! A filter is comparisons joined by `AND`, `OR` and `NOT`, such as
//!
//! ```text
//! status = ACTIVE AND (role = ADMIN OR role = MODERATOR) AND created_at >= 2026-01-01T00:00:00Z
//! email = "*@example.com" -attributes:suspended
//! ```
//!
//! `OR` binds tighter than `AND`, so `a AND b OR c` is `a AND (b OR c)`. Things side by side are joined by
//! `AND`. `-a` is `NOT a`. The words `AND`, `OR`, `NOT` are upper case. There are no functions.
//!
//! | field | comparisons | meaning |
//! | --- | --- | --- |
//! | `id` | `=` `!=` `:` | the same id |
//! | `email`, `username` | `=` `!=` `<` `<=` `>` `>=` | by their unique key: case and look-alikes do not count |
//! | | `:` | contains, by the same key |
//! | `name` | `=` `!=` | exactly as stored |
//! | | `<` `<=` `>` `>=` | alphabetical without regard to case, as in `order_by` |
//! | | `:` | contains, without regard to case |
//! | `phone`, `locale`, `attributes.KEY` | `=` `!=` `<` `<=` `>` `>=` | exactly as stored |
//! | | `:` | contains, without regard to the case of A to Z |
//! | `role`, `status` | `=` `!=` `:` | `ADMIN`, `ROLE_ADMIN` and `admin` are the same |
//! | `age` | all | a whole number |
//! | `email_verified` | `=` `!=` `:` | `true` or `false` |
//! | `created_at`, `updated_at` | all | RFC 3339, such as `2026-01-01T00:00:00Z` |
//! | `attributes` | `:` | has this key |
//! | none: `alice`, `"alice smith"` | | name, email or username contains it, without regard to case, as a search does |
//!
//! - `=` and `!=` on text take a `*` at the start, the end, or both: `email = "*@example.com"` ends with,
//!   `name = "Al*"` starts with, `name = "*li*"` contains. Any other `*` is written `\*`.
//! - `FIELD:*` asks whether `name`, `username`, `phone`, `locale`, `age` or `attributes.KEY` is there at all.
//!   `FIELD = ""` is `NOT FIELD:*`; only `attributes.KEY = ""` asks for an attribute that is there and empty.
//! - Text with spaces, parentheses, quotes or comparison signs stands in `"…"` or `'…'`; within, `\"`, `\'`, `\\`
//!   and `\*` stand for the character itself. An attribute's key may be quoted too: `attributes."team" = red`.
//! - A comparison with a value that is absent is false, and `!=` is true: `age < 18` leaves out users
//!   without an age, `age != 18` keeps them. `NOT` is the exact opposite of what it stands before.

pub mod ast;
pub mod audit;
mod display;
mod eval;
mod lexer;
mod literal;
mod parser;
mod resolve;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod users;

use std::fmt;

pub use eval::search_text;

pub use audit::AuditFilter;

use super::{AuditEvent, SyntaxError, User};
use ast::{Expr, Test};
use resolve::Subject;

/// Bytes that a filter may have.
pub const FILTER_MAX_BYTES: usize = 4096;

/// Parentheses that may be open at once.
pub const FILTER_MAX_DEPTH: usize = 32;

/// Comparisons that a filter may hold, bare words included.
pub const FILTER_MAX_COMPARISONS: usize = 64;

/// Where and why a filter could not be read.
pub type FilterError = SyntaxError;

/// A filter of users.
pub type Filter = FilterOf<Test>;

/// A filter that was read and understood, of what `T` compares. See the [module](self) for the language.
///
/// Filters that say the same in another spelling (`-a`, `NOT a`; `a b`, `a AND b`) are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterOf<T>(Expr<T>);

impl Filter {
    /// Reads a filter; blank text is `None`.
    ///
    /// # Errors
    /// The first mistake and its place.
    pub fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        read(text)
    }

    /// Whether the filter keeps this user. Every store decides the same way.
    #[must_use]
    pub fn matches(&self, user: &User) -> bool {
        self.0.holds(&|test| test.matches(user))
    }

    /// Whether it asks for a field that only some may read: see [`User::without_private`].
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.0.any(&Test::is_private)
    }
}

impl AuditFilter {
    /// Reads a filter of audit events; blank text is `None`.
    ///
    /// # Errors
    /// The first mistake and its place.
    pub fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        read(text)
    }

    /// Whether the filter keeps this event. Every store decides the same way.
    #[must_use]
    pub fn matches(&self, event: &AuditEvent) -> bool {
        self.0.holds(&|test| test.matches(event))
    }
}

impl<T> FilterOf<T> {
    /// The expression, for stores that translate it.
    #[must_use]
    pub fn expr(&self) -> &Expr<T> {
        &self.0
    }
}

fn read<T: Subject>(text: &str) -> Result<Option<FilterOf<T>>, FilterError> {
    if text.len() > FILTER_MAX_BYTES {
        let message = format!("the filter has {} bytes; at most {FILTER_MAX_BYTES} are allowed", text.len());
        return Err(FilterError { position: 1, message });
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    parser::parse(text).map(|expr| Some(FilterOf(expr))).map_err(|problem| problem.locate(text))
}

/// The canonical spelling: equal filters print the same, and reading it gives the filter back. It writes out
/// what a caller may leave out, so it can be longer than [`FILTER_MAX_BYTES`].
impl<T: fmt::Display> fmt::Display for FilterOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
