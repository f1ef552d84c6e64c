//! The Roster server as a library.
//!
//! The arrows go one way: [`model`] ← [`store`] ← [`auth`] ← [`ops`] ← [`rpc`] ← [`app`].
//! Only `rpc` knows tonic and prost; only `store::sqlite` knows rusqlite.

pub mod auth;
pub mod model;
pub mod net;
pub mod store;
