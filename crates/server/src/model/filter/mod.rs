//! Filters after AIP-160.
/// A parsed filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter;
