//! How often something may be done.

/// A bucket of `burst` calls that fills up again by `per_minute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls a minute in the long run; 0 for any number.
    pub per_minute: usize,
    /// Calls at once; 0 counts as 1.
    pub burst: usize,
}

/// The rate of each class of methods, for one caller or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// What takes a password or a token from a mail.
    pub sign_in: Rate,
    /// What makes an account.
    pub sign_up: Rate,
    /// What sends a mail.
    pub mail: Rate,
    /// What changes nothing.
    pub read: Rate,
    /// What changes something.
    pub write: Rate,
}
