//! Use cases about passwords, one a file.

mod change_password;

pub use change_password::ChangePasswordInput;
