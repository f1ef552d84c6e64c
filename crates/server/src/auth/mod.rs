//! Who calls, what they may do, and passwords.

pub mod password;

pub use password::{Password, PasswordHash};
