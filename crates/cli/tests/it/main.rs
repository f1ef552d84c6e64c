//! The program `roster` from outside: real processes, real files, real clients in Rust and Python.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, with the line it failed in")]

mod accounts;
mod addresses;
mod attacks;
mod backup;
mod bad_input;
mod bench;
mod cli;
mod cluster;
mod copy;
mod crash;
mod database;
mod demo;
mod deploy;
mod disk_full;
mod examples;
mod failed_rows;
mod feed;
mod files;
mod go;
mod guides;
mod housekeeping;
mod killer;
mod logs;
#[path = "../../../server/tests/it/postgres/mod.rs"]
#[expect(dead_code, reason = "the server's own tests use more of it")]
mod postgres;
mod presence;
mod presence_nodes;
mod process;
mod python;
mod random;
mod readme;
#[expect(dead_code, reason = "the tests of the library use all of it")]
#[path = "../../../server/tests/it/redis_server/mod.rs"]
mod redis_server;
mod retries;
mod server;
mod start_errors;
mod stop;
mod tls;
mod transfer;
mod watch;
