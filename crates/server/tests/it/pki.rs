//! A CA of a test's own, and what it has signed, as files.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use roster_server::config::Config;
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tempfile::TempDir;

/// A CA with a folder for files.
pub struct Pki {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub ca: String,
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Pair {
    /// In PEM form.
    pub certificate: String,
    /// In PEM form.
    pub key: String,
}

/// What a certificate says.
pub struct Says {
    /// The common name.
    pub common: &'static str,
    /// Other names.
    pub names: Vec<SanType>,
    /// What it is for.
    pub usage: ExtendedKeyUsagePurpose,
    /// The first day of this year is its last.
    pub until: i32,
}

/// For clients, of this common name, and good.
pub fn client(common: &'static str) -> Says {
    Says { common, names: Vec::new(), usage: ExtendedKeyUsagePurpose::ClientAuth, until: 4000 }
}

impl Pki {
    /// A new CA.
    pub fn new() -> Self {
        Self::named("a CA")
    }

    /// A new CA of this name: a client tells CAs apart by it.
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        Self { folder: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key), ca }
    }

    /// Signs a certificate.
    pub fn sign(&self, says: Says) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, says.common);
        params.subject_alt_names = says.names;
        params.extended_key_usages = vec![says.usage];
        params.not_after = date_time_ymd(says.until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// A file with this text.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Gives a server a certificate for loopback.
    pub fn serve(&self, config: &mut Config) {
        let names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let server = self.sign(Says { common: "server", names, usage, until: 4000 });
        config.tls_certificate = Some(self.file("server.pem", &server.certificate));
        config.tls_key = Some(self.file("server-key.pem", &server.key));
    }

    /// A client of rustls that trusts this CA.
    pub fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
        identity: Option<&Pair>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Pair { certificate, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.into()
    }
}
