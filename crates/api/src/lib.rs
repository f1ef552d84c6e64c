//! Roster's API: generated messages, client and server stubs, descriptors, access rules.

pub mod access;
#[cfg(feature = "server")]
pub mod codec;

/// Package `user.v1`: users and everything that hangs on them.
#[expect(missing_docs, clippy::all, reason = "generated; the protos hold the comments")]
pub mod user {
    pub mod v1 {
        tonic::include_proto!("user.v1");
    }
}

/// Server stubs, one module a package; implement their traits to serve the API.
#[cfg(feature = "server")]
#[expect(missing_docs, clippy::all, reason = "generated; the protos hold the comments")]
pub mod server {
    pub mod user {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/server/user.v1.rs"));
        }
    }
}

/// The encoded `FileDescriptorSet` of every proto that Roster serves, imports and comments included.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
