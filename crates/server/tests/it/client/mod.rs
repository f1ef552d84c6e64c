//! The Rust client against servers that behave badly: they stop, hang, reset, shed, or answer as they should.

mod bad_server;
mod retries;
mod sessions;
