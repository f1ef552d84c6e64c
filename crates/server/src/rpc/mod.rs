//! The gRPC faces: thin services and everything that every call goes through.
//!
//! [`pipeline`] is the way of a call, top to bottom. Only this module knows tonic and prost, and
//! only `status` turns an error into a status.

mod access;
mod admin_v1;
mod admission;
mod auth_v1;
mod body;
mod call;
mod call_log;
mod call_stats;
mod compat_notification;
mod compat_user;
mod deadline;
mod grpc_web;
mod headers;
mod health;
mod idempotency;
mod intake;
mod leftover;
mod notification_v1;
mod own;
pub mod pipeline;
mod request_id;
mod services;
pub mod staleness;
mod status;
mod time;
mod tokenless;
mod user_v1;

pub use admission::Admission;
pub use call_stats::CallStats;
pub use grpc_web::GrpcWeb;
pub use pipeline::Pipeline;
pub use services::{SERVED, Services};
pub use tokenless::Tokenless;
