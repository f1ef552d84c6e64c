//! Certificates: read from files, checked, told apart, and read again when the files change.
//!
//! Everything here is by rustls with the cryptography of aws-lc, whatever else is linked in.

mod expiry;
mod load;
mod watch;

use std::{path::PathBuf, sync::Arc};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use self::{
    expiry::{Standing, Validity},
    load::{LoadError, Loaded, load, validities},
    watch::Certificates,
};

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    Off,
    /// Who shows one that is good is known by it; who shows none is not.
    Optional,
    /// Who shows none is refused.
    Required,
}

/// The files of a server that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and the CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whose certificates clients may show; `None` if they are not asked.
    pub clients: Option<ClientFiles>,
}

/// What clients' certificates are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificates of the CAs.
    pub ca: PathBuf,
    /// Whether a client must show one.
    pub required: bool,
}

/// The cryptography.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Names the cryptography for libraries that do not choose theirs. Only the first call of a process does something.
pub fn install_provider() {
    let _ = aws_lc_rs::default_provider().install_default();
}
