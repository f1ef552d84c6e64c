//! Roster's API: generated messages, client and server stubs, descriptors, access rules and rate classes, and a Rust client.
//!
//! ```no_run
//! use roster_api::{Client, user::v1::CreateUserRequest};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("localhost:50051").await?;
//! let request = CreateUserRequest { email: "ada@example.com".into(), name: "Ada".into(), ..Default::default() };
//! let user = client.users().create_user(request).await?.into_inner();
//! println!("created {}", user.id);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it has |
//! | --- | --- |
//! | [`user::v1`], [`auth::v1`], [`notification::v1`], [`admin::v1`] | the API: messages and client stubs |
//! | [`compat`] | the same users and clients, by the two protos that older clients hold |
//! | [`client`] | [`Client`]: connections, plain or by TLS, with deadlines, tokens, limits, retries and breakers |
//! | [`presence`] | [`NotificationClient`]: who is online; [`Presence`] keeps a client so |
//! | [`transfer`] | many users at a time: [`Import`] and [`Export`] |
//! | [`error`] | [`Error`]: what a failed call says, taken apart |
//! | [`watch`] | [`Watch`]: every change of users, across connections and servers that end |
//! | [`access`] | who may call which method, and what a call counts as |
//! | `server`, `codec`, `encoded` | with the feature `server`: stubs to implement the API |
//!
//! Limits, defaults and errors of each field and method are told in the protos, and from there in the docs of the
//! generated items.

pub mod access;
pub mod client;
#[cfg(feature = "server")]
pub mod codec;
mod connect;
#[cfg(feature = "server")]
pub mod encoded;
pub mod error;
mod on_call;
pub mod presence;
mod session;
pub mod transfer;
mod transport;
pub mod watch;

pub use client::{Client, ClientBuilder, ConnectError, RetryPolicy};
pub use error::Error;
pub use presence::{NotificationClient, Presence};
pub use transfer::{Export, Import};
pub use watch::Watch;

/// Users, and everything that hangs on them.
#[expect(clippy::large_enum_variant, reason = "generated; an event that carries a user is the common one")]
pub mod user {
    /// Package `user.v1`.
    pub mod v1 {
        tonic::include_proto!("user.v1");
    }
}

/// Sign-in, sessions, API keys.
pub mod auth {
    /// Package `auth.v1`.
    pub mod v1 {
        tonic::include_proto!("auth.v1");
    }
}

/// Who is online.
pub mod notification {
    /// Package `notification.v1`.
    pub mod v1 {
        tonic::include_proto!("notification.v1");
    }
}

/// What operators do to a server.
pub mod admin {
    /// Package `roster.admin.v1`.
    pub mod v1 {
        tonic::include_proto!("roster.admin.v1");
    }
}

/// The protos that older clients hold, to the letter. New code uses [`user::v1`] and [`notification::v1`].
pub mod compat {
    /// Package `user`.
    pub mod user {
        tonic::include_proto!("user");
    }

    /// `NotificationService`, which has no package.
    pub mod notification {
        tonic::include_proto!("_");
    }
}

/// Server stubs: implement their traits to serve the API. A method that is not implemented answers `UNIMPLEMENTED`.
/// Where a response has a user, it is an [`encoded::EncodedUser`].
#[cfg(feature = "server")]
pub mod server {
    /// Packages `user.*`.
    pub mod user {
        /// Package `user.v1`.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/server/user.v1.rs"));
        }
    }

    /// Packages `auth.*`.
    pub mod auth {
        /// Package `auth.v1`.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/server/auth.v1.rs"));
        }
    }

    /// Packages `notification.*`.
    pub mod notification {
        /// Package `notification.v1`.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/server/notification.v1.rs"));
        }
    }

    /// Packages `roster.admin.*`.
    pub mod admin {
        /// Package `roster.admin.v1`.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/server/roster.admin.v1.rs"));
        }
    }

    /// The services that older clients call.
    pub mod compat {
        /// Package `user`.
        pub mod user {
            include!(concat!(env!("OUT_DIR"), "/server/user.rs"));
        }

        /// `NotificationService`, which has no package.
        pub mod notification {
            include!(concat!(env!("OUT_DIR"), "/server/_.rs"));
        }
    }
}

/// The encoded `FileDescriptorSet` of every proto that Roster serves, imports and comments included.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
