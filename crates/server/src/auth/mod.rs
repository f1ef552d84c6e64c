//! Who calls, what they may do, and passwords.

mod caller;
pub mod hasher;
pub mod password;
mod phc;
mod pool;

pub use caller::{Caller, Refusal, Service};
pub use hasher::{HashError, HashParams, Hasher, HasherOptions};
pub use password::{Password, PasswordHash};
