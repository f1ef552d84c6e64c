//! SQL and its parameters, growing side by side.

use rusqlite::types::Value;

use crate::model::UserId;

/// SQL text with a value for each of its `?`, in order. Text from outside cannot become SQL: only constants can
/// be pushed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SqlBuilder {
    text: String,
    params: Vec<Value>,
}

impl SqlBuilder {
    /// Starts with this.
    #[must_use]
    pub fn new(sql: &'static str) -> Self {
        Self { text: sql.to_owned(), params: Vec::new() }
    }

    /// Appends SQL.
    pub fn push(&mut self, sql: &'static str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// Appends a `?` that stands for `value`.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.text.push('?');
        self.params.push(value.into());
        self
    }

    /// The SQL so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values so far, for `rusqlite::params_from_iter`.
    #[must_use]
    pub fn params(&self) -> &[Value] {
        &self.params
    }
}

/// An id as the column `id` holds it.
#[must_use]
pub fn id_value(id: &UserId) -> Value {
    match id {
        UserId::Text(text) => Value::Text(text.as_ref().to_owned()),
        UserId::Uuid(uuid) => Value::Blob(uuid.as_bytes().to_vec()),
    }
}
