//! A PostgreSQL database as the source and as the destination of a copy between backends.

mod destination;
mod rows;
mod session;
mod source;

pub(in crate::store) use self::{destination::Destination, source::Source};
