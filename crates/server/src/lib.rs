//! The Roster server as a library.
//!
//! The arrows go one way: [`model`] ← [`store`] ← [`auth`] ← [`mail`] ← [`ops`] ← [`limits`], [`overload`] ← [`rpc`],
//! [`http`] ← [`app`]; [`presence`] stands on [`model`], below [`ops`]; [`redis`] on nothing.
//! [`net`] carries requests and knows nothing of users. Only `rpc` knows tonic and prost; only
//! `store::sqlite` knows rusqlite; only `mail` knows lettre; only [`trace`] knows OpenTelemetry.

pub mod app;
pub mod auth;
mod backlog;
pub mod config;
pub mod deadline;
pub mod http;
pub mod limits;
pub mod mail;
pub mod metrics;
pub mod model;
pub mod net;
pub mod ops;
pub mod overload;
pub mod presence;
mod priority;
pub mod redis;
pub mod rpc;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod trace;
