//! Who calls, what they may do, and passwords.

mod caller;
pub mod hasher;
pub mod one_time_token;
pub mod password;
mod phc;
mod pool;

pub use caller::{Caller, Refusal, Service};
pub use hasher::{HashError, HashParams, Hasher, HasherOptions};
pub use one_time_token::OneTimeToken;
pub use password::{Password, PasswordHash};
