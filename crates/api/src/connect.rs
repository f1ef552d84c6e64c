//! The way to a server: endpoints, TLS, tokens, and why a connection did not come about.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use http::HeaderValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};

use crate::{
    client::{CONNECT_TIMEOUT, Client, DEFAULT_DEADLINE, Secrecy},
    on_call::{Credential, OnCall},
    transport::{Endpoints, RetryPolicy, Transport, watch_health},
};

/// Silence after which a server is pinged, and how long it may take to answer.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What every certificate in PEM form begins with.
const PEM_MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Collects what a [`Client`] connects with. Prints without its secrets.
#[derive(Clone, Default)]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    server_name: Option<String>,
    token: Option<String>,
    plaintext_token: bool,
    deadline: Option<Duration>,
    retry: RetryPolicy,
}

impl ClientBuilder {
    /// Where: `https://HOST[:PORT]`, `http://HOST[:PORT]`, `HOST:PORT` in plain text, or `unix:PATH`. Each further one is
    /// one more server that can serve every call; see [`client`](crate::client).
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// The deadline of calls that have none of their own and do not stream, instead of [`DEFAULT_DEADLINE`].
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How calls are tried again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// The CAs, in PEM form, that the server's certificate may come from, instead of those of the system.
    #[must_use]
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// The certificate that the client shows, and its private key, in PEM form.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// The name that the server's certificate must have, if it is not the endpoint's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The access token or API key that goes with every call.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sends the token in plain text to other machines too. Everybody on the way can read it then.
    #[must_use]
    pub fn allow_plaintext_token(mut self, allow: bool) -> Self {
        self.plaintext_token = allow;
        self
    }

    /// Connects: to all endpoints, of which one at least must answer; the others are tried again by the calls.
    ///
    /// # Errors
    /// [`ConnectError`]: something given is of no use, or nobody good answers within [`CONNECT_TIMEOUT`].
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let targets = self.targets()?;
        let secrecy = self.secrecy(&targets);
        let credential = self.credential(&secrecy)?;
        let certificate = self.identity.as_ref().map(|(certificate, _)| certificate);
        for (what, pem) in [("the CA", self.ca.as_ref()), ("the client's certificate", certificate)] {
            if pem.is_some_and(|pem| !pem.windows(PEM_MARK.len()).any(|window| window == PEM_MARK)) {
                return Err(ConnectError::NoCertificate(what));
            }
        }
        let endpoints = self.endpoints.iter().zip(&targets);
        let endpoints =
            endpoints.map(|(name, target)| self.endpoint_at(name, target)).collect::<Result<Vec<_>, _>>()?;
        let endpoints = Arc::new(Endpoints::new(connect_all(endpoints).await?));
        watch_health(&endpoints);
        let deadline = self.deadline.unwrap_or(DEFAULT_DEADLINE);
        let on_call = OnCall { deadline, credential, passed_on: Arc::default() };
        Ok(Client::new(Transport::new(endpoints, self.retry, on_call), secrecy))
    }

    fn targets(&self) -> Result<Vec<Target>, ConnectError> {
        // Without an endpoint, say what is missing as if it were empty.
        let names = if self.endpoints.is_empty() { &[String::new()][..] } else { &self.endpoints };
        let parse = |name: &String| {
            Target::parse(name).map_err(|problem| ConnectError::Endpoint { endpoint: name.clone(), problem })
        };
        names.iter().map(parse).collect()
    }

    fn secrecy(&self, targets: &[Target]) -> Secrecy {
        let open = targets.iter().position(|target| !target.keeps_secrets());
        let endpoint = open.and_then(|index| self.endpoints.get(index)).cloned().unwrap_or_default();
        Secrecy { keeps_secrets: open.is_none(), allow_plaintext: self.plaintext_token, endpoint }
    }

    fn endpoint_at(&self, name: &str, target: &Target) -> Result<(String, Endpoint), ConnectError> {
        let endpoint = match target {
            Target::Unix(path) => Endpoint::from_shared(format!("unix:{path}"))
                .map_err(|source| ConnectError::Unreachable { endpoint: name.to_owned(), source })?,
            Target::Plain(uri) => Endpoint::from(uri.clone()),
            Target::Tls(uri) => Endpoint::from(uri.clone()).tls_config(self.tls()).map_err(ConnectError::Tls)?,
        };
        // A server that is gone without a word is noticed.
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        Ok((name.to_owned(), endpoint))
    }

    fn tls(&self) -> ClientTlsConfig {
        let mut tls = ClientTlsConfig::new().timeout(CONNECT_TIMEOUT);
        tls = match &self.ca {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
            None => tls.with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        match &self.server_name {
            Some(name) => tls.domain_name(name),
            None => tls,
        }
    }

    fn credential(&self, secrecy: &Secrecy) -> Result<Credential, ConnectError> {
        let Some(token) = &self.token else { return Ok(Credential::None) };
        secrecy.check()?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ConnectError::Token)?;
        value.set_sensitive(true);
        Ok(Credential::Token(value))
    }
}

/// Connects to all at once. What does not answer is left for later, if anything else does.
async fn connect_all(endpoints: Vec<(String, Endpoint)>) -> Result<Vec<Channel>, ConnectError> {
    let tries: Vec<_> = endpoints.iter().map(|(_, endpoint)| tokio::spawn(connect_one(endpoint.clone()))).collect();
    let (mut channels, mut first_error, mut any) = (Vec::with_capacity(endpoints.len()), None, false);
    for ((name, endpoint), tried) in endpoints.into_iter().zip(tries) {
        match tried.await {
            Ok(Ok(channel)) => {
                any = true;
                channels.push(channel);
            }
            Ok(Err(source)) => {
                first_error.get_or_insert(ConnectError::Unreachable { endpoint: name, source });
                channels.push(endpoint.connect_lazy());
            }
            // The runtime is going down, and so is everything that is connected.
            Err(_) => channels.push(endpoint.connect_lazy()),
        }
    }
    match first_error {
        Some(error) if !any => Err(error),
        _ => Ok(channels),
    }
}

async fn connect_one(endpoint: Endpoint) -> Result<Channel, tonic::transport::Error> {
    endpoint.connect().await
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("endpoints", &self.endpoints)
            .field("server_name", &self.server_name)
            .field("has_token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

/// Why a connection did not come about. No text holds a token or a key.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text names no server.
    #[error(
        "{endpoint:?} is no endpoint: {problem}; give https://HOST, http://HOST:PORT, HOST:PORT or unix:PATH, such as localhost:50051"
    )]
    Endpoint {
        /// The text that came.
        endpoint: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The CA, the certificate or its key cannot be used.
    #[error("cannot speak TLS: {}", root_cause(.0))]
    Tls(tonic::transport::Error),
    /// The CA or the client's certificate is something else.
    #[error("what is given as {0} is no certificate in PEM form")]
    NoCertificate(&'static str),
    /// The token has characters that no token has.
    #[error("the token has characters that no token has")]
    Token,
    /// The token would cross a network in plain text.
    #[error("the token is not sent to {endpoint}: everybody on the way could read it; use https")]
    PlaintextToken {
        /// The endpoint.
        endpoint: String,
    },
    /// Nobody answers there, or nobody who is who they should be.
    #[error("cannot reach a server at {endpoint}: {}", root_cause(.source))]
    Unreachable {
        /// The endpoint that was tried.
        endpoint: String,
        /// What the transport says.
        source: tonic::transport::Error,
    },
}

/// The innermost cause, such as "Connection refused": the outer ones only say "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// What an endpoint names.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Plain(Uri),
    Tls(Uri),
    Unix(String),
}

impl Target {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err("it has no path") } else { Ok(Self::Unix(path.to_owned())) };
        }
        let bare = !text.contains("://");
        let url = if bare { format!("http://{text}") } else { text.to_owned() };
        let uri: Uri = url.parse().map_err(|_| "it cannot be parsed")?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("its scheme is neither https nor http"),
        };
        let Some(authority) = uri.authority() else { return Err("it has no host") };
        if uri.host().is_none_or(str::is_empty) {
            return Err("it has no host");
        }
        if authority.as_str().contains('@') {
            return Err("it has a user name or a password");
        }
        // What is no number of a port is not taken for none: nobody has named 80.
        let host = uri.host().unwrap_or_default();
        let has_port = authority.as_str().len() > host.len();
        if has_port && uri.port_u16().is_none_or(|port| port == 0) {
            return Err("its port is no number from 1 to 65535");
        }
        if bare && !has_port {
            return Err("it has no port");
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err("it has a path or a query");
        }
        Ok(if tls { Self::Tls(uri) } else { Self::Plain(uri) })
    }

    /// Whether nobody else can read what is sent there.
    fn keeps_secrets(&self) -> bool {
        match self {
            Self::Tls(_) | Self::Unix(_) => true,
            Self::Plain(uri) => {
                let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_bare_addresses_or_sockets() {
        for (text, url) in [
            ("localhost:50051", "http://localhost:50051/"),
            ("[::1]:50051", "http://[::1]:50051/"),
            ("http://roster.example", "http://roster.example/"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1/"),
        ] {
            assert_eq!(Target::parse(text), Ok(Target::Plain(url.parse().unwrap())));
        }
        let tls = Target::Tls("https://roster.example/".parse().unwrap());
        assert_eq!(Target::parse("https://roster.example"), Ok(tls));
        for text in ["unix:/run/roster.sock", "unix:///run/roster.sock"] {
            assert_eq!(Target::parse(text), Ok(Target::Unix("/run/roster.sock".into())));
        }
        assert_eq!(Target::parse("unix:roster.db.sock"), Ok(Target::Unix("roster.db.sock".into())));
        for (text, problem) in [
            ("", "it cannot be parsed"),
            ("localhost", "it has no port"),
            ("localhost:99999", "its port is no number from 1 to 65535"),
            ("https://roster.example:99999", "its port is no number from 1 to 65535"),
            ("http://[::1]:", "its port is no number from 1 to 65535"),
            ("http://127.0.0.1:0", "its port is no number from 1 to 65535"),
            (":50051", "it has no host"),
            ("unix:", "it has no path"),
            ("ftp://localhost:1", "its scheme is neither https nor http"),
            ("http://ada:secret@localhost:1", "it has a user name or a password"),
            ("localhost:50051/users", "it has a path or a query"),
        ] {
            assert_eq!(Target::parse(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn a_token_goes_only_where_nobody_else_reads_it() {
        let sent = |endpoint: &str, allow| {
            let builder = Client::builder().endpoint(endpoint).token("s3cret").allow_plaintext_token(allow);
            assert!(!format!("{builder:?}").contains("s3cret"));
            let secrecy = builder.secrecy(&builder.targets().unwrap());
            builder.credential(&secrecy).map(|credential| matches!(credential, Credential::Token(_)))
        };
        for endpoint in
            ["https://a.example", "unix:/a", "localhost:1", "http://127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1"]
        {
            assert!(sent(endpoint, false).unwrap(), "{endpoint}");
        }
        for endpoint in ["http://a.example:1", "10.0.0.1:1", "localhost.example:1", "[::2]:1"] {
            let error = sent(endpoint, false).unwrap_err().to_string();
            assert!(error.contains(endpoint) && !error.contains("s3cret"), "{error}");
            assert!(sent(endpoint, true).unwrap(), "{endpoint}");
        }
        let bad = Client::builder().endpoint("localhost:1").token("s3cret\n");
        let error = bad.credential(&bad.secrecy(&bad.targets().unwrap())).unwrap_err();
        assert!(matches!(error, ConnectError::Token) && !format!("{error} {error:?}").contains("s3cret"));
    }
}
