//! Roster from outside: stores behind their trait, and a real server with real clients.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, with the line it failed in")]

mod api;
mod catcher;
mod client;
mod collector;
mod feed;
mod harness;
mod mail_clock;
mod pki;
mod postgres;
mod redis_connection;
mod redis_server;
mod retry_clock;
mod store;
