//! The program `roster` from outside: real processes, real files, real clients in Rust and Python.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, with the line it failed in")]

mod accounts;
mod addresses;
mod cli;
mod crash;
mod database;
mod disk_full;
mod process;
mod python;
mod readme;
mod server;
mod start_errors;
mod stop;
mod tls;
