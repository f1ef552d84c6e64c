//! Order after AIP-132.
/// A parsed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order;
