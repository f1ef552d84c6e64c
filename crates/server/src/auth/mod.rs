//! Who calls, what they may do, and passwords.

mod caller;
pub mod hasher;
pub mod password;

pub use caller::{Caller, Refusal};
pub use hasher::{HashError, HashOptions, Hasher};
pub use password::{Password, PasswordHash};
