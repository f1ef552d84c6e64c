//! Who may call which method, generated from the `(roster.options.v1.access)` options of the protos.

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
    STREAMS.contains(&(service, method))
}

include!(concat!(env!("OUT_DIR"), "/access.rs"));
include!(concat!(env!("OUT_DIR"), "/streams.rs"));
