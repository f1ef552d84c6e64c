//! From files to what handshakes go by.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use zeroize::Zeroizing;

use super::{ClientFiles, TlsFiles, Validity, provider};

/// Bytes that a file of certificates or a key may have.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// What both ports speak, the best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why files cannot be used. Each text is one line, names the file and holds nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {} ({setting}): {error}; name a file that the server's user can read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A file has something else in it.
    #[error("{} ({setting}) {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The key is another certificate's.
    #[error("the key in {} (tls_key) does not match the certificate in {} (tls_certificate); name the two that were made together", key.display(), certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

/// What handshakes go by.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// For gRPC.
    pub grpc: Arc<ServerConfig>,
    /// For HTTP, whose clients are browsers and probes: they are not asked for a certificate.
    pub http: Arc<ServerConfig>,
    /// When the server's certificate is good.
    pub validity: Validity,
}

/// Reads and checks the files.
///
/// # Errors
/// The first file that is of no use, and why.
pub fn load(files: &TlsFiles) -> Result<Loaded, LoadError> {
    let chain = certificates(&files.certificate, "tls_certificate")?;
    let validity = match chain.first().map(|leaf| Validity::of(leaf)) {
        Some(Some(validity)) => validity,
        _ => return Err(content(&files.certificate, "tls_certificate", "has no certificate that can be read")),
    };
    let bytes = read(&files.key, "tls_key")?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            content(&files.key, "tls_key", "has no private key in PEM form; an encrypted one cannot be used")
        }
        _ => content(&files.key, "tls_key", "is not PEM: it is damaged or something else"),
    })?;
    let http = Arc::new(server_config(files, None, chain.clone(), key.clone_key())?);
    let grpc = match &files.clients {
        None => Arc::clone(&http),
        Some(clients) => Arc::new(server_config(files, Some(clients), chain, key)?),
    };
    Ok(Loaded { grpc, http, validity })
}

fn server_config(
    files: &TlsFiles,
    clients: Option<&ClientFiles>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, LoadError> {
    let unusable = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => {
            LoadError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        rustls::Error::InvalidCertificate(error) => {
            content(&files.certificate, "tls_certificate", format!("cannot be used: {error}"))
        }
        error => content(&files.key, "tls_key", format!("cannot be used: {error}")),
    };
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(&versions).map_err(unusable)?;
    let mut config = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients)?),
    }
    .with_single_cert(chain, key)
    .map_err(unusable)?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    if clients.is_some() {
        // A session that is taken up again skips the check of the client's certificate, whatever became of it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn verifier(clients: &ClientFiles) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, LoadError> {
    let unusable =
        |error: &dyn std::fmt::Display| content(&clients.ca, "tls_client_ca", format!("cannot be used: {error}"));
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&clients.ca, "tls_client_ca")? {
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| unusable(&error))
}

/// For what time each certificate in a file is good, one at least.
///
/// # Errors
/// The file is of no use, and why.
pub fn validities(path: &Path, setting: &'static str) -> Result<Vec<Validity>, LoadError> {
    let all = certificates(path, setting)?;
    let unreadable = || content(path, setting, "has a certificate that cannot be read");
    all.iter().map(|certificate| Validity::of(certificate).ok_or_else(unreadable)).collect()
}

/// The certificates in a file, one at least.
fn certificates(path: &Path, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let bytes = read(path, setting)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if all.is_empty() => Err(content(path, setting, "has no certificate in PEM form")),
        Ok(all) => Ok(all),
        Err(_) => Err(content(path, setting, "is not PEM: it is damaged or something else")),
    }
}

/// The whole file, which may hold a key.
fn read(path: &Path, setting: &'static str) -> Result<Zeroizing<Vec<u8>>, LoadError> {
    let failed = |error| LoadError::Unreadable { path: path.to_owned(), setting, error };
    // A length that is known spares copies of a key in buffers that grew.
    let meta = fs::metadata(path).map_err(failed)?;
    if !meta.is_file() || meta.len() > MAX_FILE_BYTES {
        return Err(content(path, setting, "is no file, or one of more than 1 MiB"));
    }
    fs::read(path).map(Zeroizing::new).map_err(failed)
}

fn content(path: &Path, setting: &'static str, problem: impl Into<String>) -> LoadError {
    LoadError::Content { path: path.to_owned(), setting, problem: problem.into() }
}
