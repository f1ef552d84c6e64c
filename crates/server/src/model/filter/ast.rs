//! What a filter says, with every name and value resolved. Nothing in here can fail any more.

use std::borrow::Cow;

use crate::model::{
    Role, Timestamp, UserId, UserStatus,
    text::{fold, unique_key},
};

/// A condition on what `T` compares, users unless told otherwise. Build the joints with [`Expr::and`], [`Expr::or`] and [`Expr::not`]: they keep
/// one shape for one meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr<T = Test> {
    /// All hold. At least two, none of them an `And`.
    And(Vec<Expr<T>>),
    /// One holds. At least two, none of them an `Or`.
    Or(Vec<Expr<T>>),
    /// It does not hold. Never another `Not`.
    Not(Box<Expr<T>>),
    /// One comparison.
    Test(T),
}

/// One comparison. There is none for `!=`, which is the exact opposite of `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The search text contains this: see [`super::search_text`].
    Search(Operand),
    /// There is a text here.
    TextPresent(TextField),
    /// There is an age.
    AgePresent,
    /// The id is this one.
    Id(UserId),
    /// A text compares so with the operand. False if there is none.
    Text(TextField, Matching, Operand),
    /// The role is this one.
    Role(Role),
    /// The status is this one.
    Status(UserStatus),
    /// Whether the email is verified is this.
    EmailVerified(bool),
    /// The age compares so. False if there is none.
    Age(Relation, i64),
    /// A time compares so.
    Time(TimeField, Relation, Timestamp),
}

/// Fields that hold text. Empty text counts as absent, but not in an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextField {
    /// `email`, never absent.
    Email,
    /// `username`.
    Username,
    /// `name`.
    Name,
    /// `phone`.
    Phone,
    /// `locale`.
    Locale,
    /// The attribute with this key.
    Attribute(String),
}

/// Fields that hold a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeField {
    /// `created_at`.
    CreatedAt,
    /// `updated_at`.
    UpdatedAt,
}

/// How two values of one type may stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// How a text may stand to an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// In this relation.
    Is(Relation),
    /// `= "x*"`
    StartsWith,
    /// `= "*x"`
    EndsWith,
    /// `= "*x*"`
    Contains,
    /// `:`, contains without regard to case.
    Has,
}

/// The form in which two texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Stored,
    /// [`fold`]ed.
    Folded,
    /// The [`unique_key`].
    Key,
    /// A to Z in lower case, which every database can do.
    AsciiLower,
}

/// A text from the filter. Not empty unless it is compared with an attribute by `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    text: String,
    key: String,
}

impl<T> Expr<T> {
    /// All of `parts`, of which there is at least one.
    #[must_use]
    pub fn and(parts: Vec<Self>) -> Self {
        join(parts, Self::And, |part| match part {
            Self::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// One of `parts`, of which there is at least one.
    #[must_use]
    pub fn or(parts: Vec<Self>) -> Self {
        join(parts, Self::Or, |part| match part {
            Self::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// The exact opposite.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "`and` and `or` have no operators either")]
    pub fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Whether one of its comparisons is `wanted`, negated or not.
    pub(super) fn any(&self, wanted: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.any(wanted)),
            Self::Not(inner) => inner.any(wanted),
            Self::Test(test) => wanted(test),
        }
    }
}

impl Test {
    /// Whether it is about a field that only some may read.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self {
            Self::Age(..) | Self::AgePresent => true,
            Self::Text(field, ..) | Self::TextPresent(field) => {
                matches!(field, TextField::Phone | TextField::Attribute(_))
            }
            Self::Search(_)
            | Self::Id(_)
            | Self::Role(_)
            | Self::Status(_)
            | Self::EmailVerified(_)
            | Self::Time(..) => false,
        }
    }
}

/// The parts of an expression that is joined in some way, or the expression as it is.
type Opened<T> = Result<Vec<Expr<T>>, Expr<T>>;

/// Joins `parts`, taking in those that are themselves joined in this way.
fn join<T>(parts: Vec<Expr<T>>, joint: fn(Vec<Expr<T>>) -> Expr<T>, open: fn(Expr<T>) -> Opened<T>) -> Expr<T> {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match open(part) {
            Ok(inner) => flat.extend(inner),
            Err(other) => flat.push(other),
        }
    }
    match flat.pop() {
        Some(only) if flat.is_empty() => only,
        Some(last) => {
            flat.push(last);
            joint(flat)
        }
        None => joint(flat),
    }
}

impl TextField {
    /// The form in which this field and an operand are brought together for `matching`.
    #[must_use]
    pub fn form(&self, matching: Matching) -> Form {
        match (self, matching) {
            (Self::Email | Self::Username, _) => Form::Key,
            (Self::Name, Matching::Has) => Form::Folded,
            (Self::Name, Matching::Is(relation)) if relation != Relation::Equal => Form::Folded,
            (Self::Phone | Self::Locale | Self::Attribute(_), Matching::Has) => Form::AsciiLower,
            _ => Form::Stored,
        }
    }
}

impl Form {
    /// `text` in this form.
    #[must_use]
    pub fn of(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Stored => Cow::Borrowed(text),
            Self::Folded => Cow::Owned(fold(text)),
            Self::Key => Cow::Owned(unique_key(text)),
            Self::AsciiLower => Cow::Owned(text.to_ascii_lowercase()),
        }
    }
}

impl Operand {
    /// `text`, to be compared in `form`.
    #[must_use]
    pub fn new(text: String, form: Form) -> Self {
        let key = form.of(&text).into_owned();
        Self { text, key }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it is compared.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}
