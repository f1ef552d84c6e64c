//! Who may call which method, what a call counts as, and what it takes of the server: generated from the
//! `(roster.options.v1.access)`, `(roster.options.v1.rate_class)` and `(roster.options.v1.load_class)` options of the
//! protos.

/// The access rule of one RPC; see `proto/roster/options/v1/access.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRule {
    /// Anyone, signed in or not.
    Public,
    /// Any caller with a valid token or API key.
    SignedIn,
    /// The user that the request names, or a holder of this permission.
    SelfOr(&'static str),
    /// Only a holder of this permission.
    Permission(&'static str),
}

/// Whether the method streams in either direction.
#[must_use]
pub fn streams(service: &str, method: &str) -> bool {
    STREAMS.iter().any(|(of, name, _)| (*of, *name) == (service, method))
}

/// Whether the method takes one request and answers with a stream.
#[must_use]
pub fn streams_responses_alone(service: &str, method: &str) -> bool {
    STREAMS.contains(&(service, method, false))
}

/// What calls of a method are counted with; see `proto/roster/options/v1/rate_class.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateClass {
    /// Takes a password or a token from a mail.
    SignIn,
    /// Makes an account.
    SignUp,
    /// Sends a mail.
    Mail,
    /// Changes nothing.
    Read,
    /// Changes something.
    Write,
}

/// What calls of a method take of the server; see `proto/roster/options/v1/load_class.proto`. The last are refused
/// first when there is too much to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoadClass {
    /// Tells how the server is, or renews or takes away access.
    Vital,
    /// Reads a few rows or the memory.
    Read,
    /// Waits for the writer.
    Write,
    /// Lives as long as its client wants.
    Stream,
    /// Reads many rows.
    Bulk,
    /// Waits for a hash.
    Hash,
}

/// One RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its place in [`METHODS`].
    pub index: usize,
    /// Its gRPC path.
    pub path: &'static str,
    /// Who may call it.
    pub access: AccessRule,
    /// What a call counts as.
    pub rate_class: RateClass,
    /// What a call takes of the server.
    pub load_class: LoadClass,
}

include!(concat!(env!("OUT_DIR"), "/access.rs"));
include!(concat!(env!("OUT_DIR"), "/streams.rs"));
