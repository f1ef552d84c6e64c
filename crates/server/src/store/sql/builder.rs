//! SQL and its parameters, growing side by side.

use crate::model::UserId;

/// Whose SQL it is. What is not the same in both is here and in the few places that ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}

/// Letters in what an index over trigrams knows.
pub(super) const TRIGRAM: usize = 3;

/// A parameter, as no database has it yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A truth.
    Bool(bool),
    /// A number.
    Int(i64),
    /// Text.
    Text(String),
    /// The id of a user, which each database keeps in its own way.
    Id(UserId),
}

/// SQL text with a value for each of its placeholders, in order. Text from outside cannot become SQL: only constants can
/// be pushed.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlBuilder {
    dialect: Dialect,
    text: String,
    params: Vec<Value>,
}

impl SqlBuilder {
    /// Starts with this.
    #[must_use]
    pub fn new(dialect: Dialect, sql: &'static str) -> Self {
        Self { dialect, text: sql.to_owned(), params: Vec::new() }
    }

    /// Whose SQL it is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Appends SQL.
    pub fn push(&mut self, sql: &'static str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// Appends what says the same in the dialect.
    pub(super) fn push_either(&mut self, sqlite: &'static str, postgres: &'static str) -> &mut Self {
        self.push(match self.dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        })
    }

    /// Appends a placeholder that stands for `value`.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.params.push(value.into());
        match self.dialect {
            Dialect::Sqlite => self.text.push('?'),
            Dialect::Postgres => {
                self.text.push('$');
                self.text.push_str(&self.params.len().to_string());
            }
        }
        self
    }

    /// The SQL so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values so far.
    #[must_use]
    pub fn params(&self) -> &[Value] {
        &self.params
    }

    /// Both.
    #[must_use]
    pub fn into_parts(self) -> (String, Vec<Value>) {
        (self.text, self.params)
    }

    /// Appends the condition that the text which `column` appends has this in it.
    pub fn push_contains(&mut self, column: impl FnOnce(&mut Self), part: &str) -> &mut Self {
        match self.dialect {
            Dialect::Sqlite => {
                self.push("instr(");
                column(self);
                self.push(", ").bind(part).push(") > 0")
            }
            // An index over trigrams knows nothing of less than three letters, but could be gone through as a whole, which
            // takes many times as long as to read all users.
            Dialect::Postgres if part.chars().count() < TRIGRAM => {
                // The planner estimates it as if it stood there alone, and takes no index for it.
                self.push("(");
                column(self);
                self.push(" LIKE ").bind(format!("%{}%", escaped(part))).push(") IS TRUE")
            }
            // What the index can serve.
            Dialect::Postgres => {
                column(self);
                self.push(" LIKE ").bind(format!("%{}%", escaped(part)))
            }
        }
    }

    /// Appends the condition that the text which `column` appends ends with this.
    pub fn push_ends_with(&mut self, column: impl FnOnce(&mut Self), end: &str) -> &mut Self {
        match self.dialect {
            Dialect::Sqlite => {
                // A negative start counts from the end, in characters.
                let length = i64::try_from(end.chars().count()).unwrap_or(i64::MAX);
                self.push("substr(");
                column(self);
                self.push(", ").bind(-length).push(") = ").bind(end)
            }
            Dialect::Postgres => {
                column(self);
                self.push(" LIKE ").bind(format!("%{}", escaped(end)))
            }
        }
    }
}

/// Text that a pattern takes by the letter.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 4);
    for letter in text.chars() {
        if matches!(letter, '\\' | '%' | '_') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&UserId> for Value {
    fn from(id: &UserId) -> Self {
        Self::Id(id.clone())
    }
}
