//! Passwords and their hashes.

/// A password in clear.
#[expect(missing_debug_implementations, reason = "a placeholder of the first commit")]
pub struct Password(pub(crate) String);

/// A PHC string.
#[derive(Clone, Debug)]
pub struct PasswordHash(pub(crate) String);
