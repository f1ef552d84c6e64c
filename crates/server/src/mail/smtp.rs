//! The way to the mail server.

use std::{sync::OnceLock, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    transport::smtp::{
        self, AsyncSmtpTransportBuilder, PoolConfig,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use crate::config::{SmtpTls, SmtpUrl};

/// How long the server may take for one command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take for one mail, from the connection to the last word.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection is kept for the next mail.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of an error that are kept.
const ERROR_MAX_CHARS: usize = 300;

/// Replies that are about us rather than about the mail: sign in first, mechanism too weak, wrong password.
const ABOUT_US: [u16; 4] = [530, 534, 535, 538];

/// A mail server and the connections to it.
pub struct Smtp {
    builder: AsyncSmtpTransportBuilder,
    /// Made with the first mail: its pool lives and dies on the runtime that sends.
    transport: OnceLock<AsyncSmtpTransport<Tokio1Executor>>,
    /// Never to be seen in an error.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Smtp")
    }
}

/// Why a mail was not taken. The texts hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// This mail will never be.
    Refused(String),
    /// Another time it may be.
    Later(String),
}

impl Smtp {
    /// Readies the way; connects to nothing yet. `authorities` are certificates in PEM to trust besides the system's,
    /// `greeting` is how we call ourselves unless the URL says it.
    ///
    /// # Errors
    /// What is wrong with the URL or the certificates, without secrets.
    pub fn new(url: &SmtpUrl, authorities: Option<&[u8]>, greeting: Option<&str>) -> Result<Self, String> {
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| "user and password must be UTF-8".to_owned())
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(url.host())
            .port(url.port())
            .tls(tls(url, authorities)?)
            .timeout(Some(COMMAND_TIMEOUT))
            .pool_config(PoolConfig::new().idle_timeout(IDLE_TIMEOUT));
        let mut secrets = Vec::new();
        if !url.password().is_empty() {
            let (user, password) = (decoded(url.user())?, decoded(url.password())?);
            secrets.extend([url.password().to_owned(), password.clone()]);
            builder = builder.credentials(Credentials::new(user, password));
        }
        if let Some(name) = url.greeting().or(greeting) {
            builder = builder.hello_name(ClientId::Domain(name.to_owned()));
        }
        Ok(Self { builder, transport: OnceLock::new(), secrets })
    }

    /// Hands a mail over. `private` is what the server may repeat but nobody is to read.
    pub(super) async fn send(&self, message: Message, private: &[&str]) -> Result<(), Failure> {
        let told = |error: String| self.told(&error, private);
        let transport = self.transport.get_or_init(|| self.builder.clone().build());
        let attempt = async {
            // What fails before the mail is offered (no server, TLS, sign-in) is not the mail's fault.
            transport.test_connection().await.map_err(|error| Failure::Later(told(error.to_string())))?;
            transport.send(message).await.map_err(|error| match is_final(&error) {
                true => Failure::Refused(told(error.to_string())),
                false => Failure::Later(told(error.to_string())),
            })
        };
        match timeout(ATTEMPT_TIMEOUT, attempt).await {
            Ok(outcome) => outcome.map(|_| ()),
            Err(_) => Err(Failure::Later("the mail server took too long".to_owned())),
        }
    }

    /// Greets the server, speaks TLS and signs in, as is done before a mail is sent; sends nothing.
    ///
    /// # Errors
    /// What the server or the network said, in one line, without secrets.
    pub async fn check(&self) -> Result<(), String> {
        let transport = self.builder.clone().build();
        let tested = transport.test_connection().await.map_err(|error| self.told(&error.to_string(), &[]));
        transport.shutdown().await;
        match tested? {
            true => Ok(()),
            false => Err("the server does not take commands".to_owned()),
        }
    }

    /// Closes the connections.
    pub(super) async fn close(&self) {
        if let Some(transport) = self.transport.get() {
            transport.shutdown().await;
        }
    }

    /// An error in one line, without secrets.
    fn told(&self, error: &str, private: &[&str]) -> String {
        let secrets = self.secrets.iter().map(String::as_str).chain(private.iter().copied());
        let clean = secrets
            .filter(|secret| !secret.is_empty())
            .fold(error.to_owned(), |text, secret| text.replace(secret, "…"));
        clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ERROR_MAX_CHARS).collect()
    }
}

/// Whether the server, or the message itself, says that this mail will never be taken.
fn is_final(error: &smtp::Error) -> bool {
    let about_us = error.status().is_some_and(|code| ABOUT_US.contains(&u16::from(code)));
    (error.is_permanent() && !about_us) || error.is_client()
}

fn tls(url: &SmtpUrl, authorities: Option<&[u8]>) -> Result<Tls, String> {
    let parameters = || {
        let mut builder = TlsParameters::builder(url.host().to_owned());
        if let Some(pem) = authorities {
            let certificate = Certificate::from_pem(pem);
            builder = builder.add_root_certificate(certificate.map_err(|error| error.to_string())?);
        }
        builder.build().map_err(|error| error.to_string())
    };
    Ok(match url.tls() {
        SmtpTls::Always => Tls::Wrapper(parameters()?),
        SmtpTls::Required => Tls::Required(parameters()?),
        SmtpTls::Opportunistic => Tls::Opportunistic(parameters()?),
        SmtpTls::Never => Tls::None,
    })
}
