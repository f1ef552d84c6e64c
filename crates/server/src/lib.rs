//! The Roster server as a library.
//!
//! The arrows go one way: [`model`] ← [`store`] ← [`auth`] ← [`ops`] ← [`rpc`] ← [`app`].
//! Only `rpc` knows tonic and prost; only `store::sqlite` knows rusqlite.

pub mod app;
pub mod auth;
pub mod config;
pub mod model;
pub mod store;
pub mod telemetry;
