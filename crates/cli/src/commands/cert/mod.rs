//! `roster cert`: certificates for trying out TLS.

mod dev;

use clap::Subcommand;

use crate::{args::Global, error::Failure};

/// Make certificates
#[derive(Debug, Subcommand)]
pub enum Cert {
    /// Make a CA for this machine, and certificates of it for a server and a client
    Dev(dev::Dev),
}

impl Cert {
    /// Does it.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Dev(dev) => dev.run(global),
        }
    }
}
