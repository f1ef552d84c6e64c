//! The way to a server: what the flags say of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::builder::{OsStringValueParser, TypedValueParser};
use roster_api::{Client, ConnectError, RetryPolicy};

use crate::{error::CliError, exit::Exit};

/// Where `roster serve --dev` listens.
const DEFAULT_SERVER: &str = "http://127.0.0.1:50051";

/// The server to call, and how. Tokens have no flag, because others see flags: see `ROSTER_TOKEN`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Connection {
    /// The server to call: https://HOST:PORT, http://HOST:PORT, or unix:PATH for a socket on this machine
    #[arg(long, global = true, value_name = "URL", env = "ROSTER_SERVER", default_value = DEFAULT_SERVER)]
    pub server: String,
    /// The CAs that the server's certificate may come from, instead of the system's, as a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "ROSTER_CA_CERT", value_parser = any_path())]
    pub ca_cert: Option<PathBuf>,
    /// The certificate to show to the server, as a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "ROSTER_CLIENT_CERT", value_parser = any_path())]
    pub client_cert: Option<PathBuf>,
    /// Its private key, as a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "ROSTER_CLIENT_KEY", value_parser = any_path())]
    pub client_key: Option<PathBuf>,
    /// The name in the server's certificate, if it is not the host of --server
    #[arg(long, global = true, value_name = "NAME", env = "ROSTER_SERVER_NAME")]
    pub server_name: Option<String>,
    /// Send tokens and passwords in plain text to other machines too
    #[arg(long, global = true)]
    pub allow_plaintext: bool,
}

impl Connection {
    /// To a server, with nothing else said.
    pub fn to(server: impl Into<String>) -> Self {
        Self { server: server.into(), ..Self::default() }
    }

    /// To another server, with the same certificates.
    pub fn with_server(&self, server: impl Into<String>) -> Self {
        Self { server: server.into(), ..self.clone() }
    }

    /// Connects, as nobody.
    pub async fn connect(&self) -> Result<Client, CliError> {
        self.connect_with(RetryPolicy::default()).await
    }

    /// Connects, as nobody, with another idea of what is tried again.
    pub async fn connect_with(&self, retry: RetryPolicy) -> Result<Client, CliError> {
        let builder = Client::builder().endpoint(&self.server).retry(retry);
        let mut builder = builder.allow_plaintext_token(self.allow_plaintext);
        if let Some(path) = given(&self.ca_cert) {
            builder = builder.ca(read(path, "--ca-cert")?);
        }
        match (given(&self.client_cert), given(&self.client_key)) {
            (Some(certificate), Some(key)) => {
                builder = builder.identity(read(certificate, "--client-cert")?, read(key, "--client-key")?);
            }
            (None, None) => {}
            _ => {
                let message = "--client-cert and --client-key go together, and one is missing";
                return Err(CliError::new(Exit::Usage, message).hint("give both, as PEM files"));
            }
        }
        if let Some(name) = self.server_name.as_deref().filter(|name| !name.is_empty()) {
            builder = builder.server_name(name);
        }
        builder.connect().await.map_err(|error| {
            let failed = |exit| CliError::new(exit, error.to_string());
            match &error {
                ConnectError::Unreachable { .. } => failed(Exit::Unavailable).hint(hint(&error.to_string())),
                ConnectError::Endpoint { .. } => {
                    failed(Exit::Usage).hint("--server (or ROSTER_SERVER) takes a URL such as http://127.0.0.1:50051")
                }
                _ => failed(Exit::Usage).hint("see what --ca-cert, --client-cert and --client-key name"),
            }
        })
    }
}

/// A path that may be empty: clap's own parser takes an empty variable for a mistake.
pub fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// An empty variable counts as not set.
fn given(path: &Option<PathBuf>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.as_os_str().is_empty())
}

fn read(path: &Path, flag: &str) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| {
        CliError::new(Exit::Usage, format!("cannot read {} ({flag}): {error}", path.display()))
            .hint("name a PEM file; `roster cert dev` makes some")
    })
}

/// What to do when nobody good answers. rustls says in its own words what is wrong with a certificate.
fn hint(error: &str) -> &'static str {
    if error.contains("xpired") {
        "the server's certificate has ended, or this machine's clock is wrong: whoever runs the server has to renew it"
    } else if error.contains("UnknownIssuer") {
        "name the CA of the server's certificate with --ca-cert"
    } else if error.contains("not valid for name") || error.contains("NotValidForName") {
        "call the server by a name in its certificate, or say which with --server-name"
    } else if error.contains("InvalidContentType") || error.contains("corrupt message") {
        "the server seems to speak plain text there: call it with http://"
    } else if error.contains("CertificateRequired") {
        "the server wants a certificate of yours: --client-cert and --client-key"
    } else {
        "start a server with `roster serve --dev`, name another with --server URL, or ask `roster doctor`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bad_urls_and_absent_servers_are_told_apart() {
        for (server, exit) in
            [("a b", Exit::Usage), ("unix:/no/such.sock", Exit::Unavailable), ("127.0.0.1:1", Exit::Unavailable)]
        {
            let error = Connection::to(server).connect().await.unwrap_err();
            assert_eq!(error.exit, exit, "{server}: {}", error.message);
            assert!(error.hint.is_some());
        }
    }

    #[tokio::test]
    async fn files_that_are_of_no_use_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (absent, other) = (folder.path().join("absent.pem"), folder.path().join("other.pem"));
        fs::write(&other, "no certificate").unwrap();
        let base = Connection::to("https://127.0.0.1:1");
        for (connection, expected) in [
            (Connection { ca_cert: Some(absent.clone()), ..base.clone() }, "absent.pem (--ca-cert): No such file"),
            (Connection { ca_cert: Some(other), ..base.clone() }, "the CA is no certificate"),
            (Connection { client_cert: Some(absent), ..base.clone() }, "go together"),
        ] {
            let error = connection.connect().await.unwrap_err();
            assert!(error.exit == Exit::Usage && error.message.contains(expected), "{error:?}");
        }
    }
}
