//! The gRPC faces: thin services and everything that every call goes through.
//!
//! [`pipeline`] is the way of a call, top to bottom. Only this module knows tonic and prost, and
//! only [`status`] turns an error into a status.

mod access;
mod admin_v1;
mod body;
mod call_log;
mod deadline;
mod grpc_web;
mod health;
mod intake;
pub mod pipeline;
mod request_id;
mod services;
pub mod status;
mod user_v1;

pub use grpc_web::GrpcWeb;
pub use pipeline::Pipeline;
pub use services::{SERVED, Services};
