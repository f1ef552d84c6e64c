//! What a list asks for: filter, search, order, and where to go on.

use crate::model::{UserId, filter::Filter, order::Order};

/// A page of users to read.
#[derive(Clone, Debug)]
pub struct UserQuery {
    /// Only users that match.
    pub filter: Option<Filter>,
    /// Only users whose name, email or username contains this, already
    /// [folded](crate::model::text::fold).
    pub search: Option<String>,
    /// The order; ends in the id, so it is total.
    pub order: Order,
    /// Only users after this place.
    pub after: Option<Cursor>,
    /// At most this many, at least 1.
    pub limit: u32,
}

/// A place in an ordered list: the last user's values for the order's terms, and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// One value for each term of the order.
    pub values: Vec<CursorValue>,
    /// Breaks ties, ascending.
    pub id: UserId,
}

/// A value that users are ordered by. Absent comes before all others, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CursorValue {
    /// The user has none.
    Absent,
    /// Numbers, times (microseconds), and enums by number.
    Int(i64),
    /// Text, by its key.
    Text(String),
}
