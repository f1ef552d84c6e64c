//! Who is at the other end of a connection, as far as the connection itself can tell.

use std::{fmt, net::SocketAddr, sync::Arc};

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody on the network.
    Remote {
        /// The address that the connection came from.
        addr: SocketAddr,
        /// The name in the certificate that it showed, once that was verified.
        certificate: Option<Arc<str>>,
    },
    /// This machine's operator, on the operator's socket.
    Operator,
}

impl Peer {
    /// The address that the connection came from; `None` for the operator.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Remote { addr, .. } => Some(*addr),
            Self::Operator => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote { addr, .. } => addr.fmt(f),
            Self::Operator => f.write_str("operator"),
        }
    }
}
