//! What a list asks for: filter, search, order, and where to go on.

use crate::model::{filter::Filter, order::Order};

pub use crate::model::order::{Cursor, CursorValue};

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
