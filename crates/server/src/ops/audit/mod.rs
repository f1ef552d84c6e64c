//! The audit log: what is read from it, and how refusals come into it.

mod list_events;
mod trail;

pub(super) use self::trail::AuditTrail;
pub use self::{
    list_events::{AuditPage, ListAuditEventsInput},
    trail::{Called, RefusedCall},
};
