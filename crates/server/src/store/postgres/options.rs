//! Where a PostgreSQL database is and how it is reached: the URL that PostgreSQL's own tools take.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use super::hosts::each_host;

/// How long a host may take to let us in, unless the URL says so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same if there is another to turn to.
const CONNECT_TIMEOUT_OF_SEVERAL: Duration = Duration::from_secs(2);
/// How long what was sent may stay without an answer of the other machine.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which the other machine is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);

/// How a database is served.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Where it is.
    pub url: PostgresUrl,
    /// Connections for commands, lists and searches, at least 1. Single rows are read by a few more.
    pub connections_max: usize,
    /// Calls that may wait for one of them.
    pub waiting_max: usize,
    /// Memory for what was read lately, for reads that may be old; 0 keeps nothing.
    pub cache_bytes: u64,
    /// Standbys of it, for lists and searches that may be old; each host is one.
    pub replicas: Option<PostgresUrl>,
}

/// What a server's certificate is held against; see `sslmode` of PostgreSQL's `libpq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any will do: the connection is encrypted, and who is at its end is not known.
    Any,
    /// One of these authorities has signed it, for whichever host.
    Authority(Authorities),
    /// One of these authorities has signed it, for the host that we connect to.
    Host(Authorities),
}

/// Who may sign a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authorities {
    /// Whom the system trusts.
    System,
    /// Those in this PEM file.
    File(PathBuf),
}

/// A `postgres://` URL, parsed. Prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    pub(super) config: Config,
    pub(super) trust: Trust,
}

impl PostgresUrl {
    /// Whether `text` is meant to be one.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Hosts and ports.
    #[must_use]
    pub fn server(&self) -> String {
        let (hosts, ports) = (self.config.get_hosts(), self.config.get_ports());
        let name = |(index, host): (usize, &Host)| {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            }
        };
        let named = hosts.iter().enumerate().map(name).collect::<Vec<_>>();
        let given = || self.config.get_hostaddrs().iter().map(ToString::to_string).collect::<Vec<_>>();
        (if named.is_empty() { given() } else { named }).join(",")
    }
}

impl PostgresUrl {
    /// Each host by itself, whether or not it takes writes.
    pub(super) fn each_replica(&self) -> Vec<Self> {
        let replica = |mut config: Config| {
            config.target_session_attrs(TargetSessionAttrs::Any);
            Self { config, trust: self.trust.clone() }
        };
        each_host(&self.config).into_iter().map(replica).collect()
    }
}

impl FromStr for PostgresUrl {
    type Err = String;

    /// What is wrong, without the URL: it may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        if !Self::is_meant_by(text) {
            return Err("it does not start with postgres://".into());
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut tls = TlsParameters::default();
        let rest = query.split('&').filter(|pair| !pair.is_empty());
        let rest = rest.filter_map(|pair| tls.take(pair).map(|taken| (!taken).then_some(pair)).transpose());
        let rest = rest.collect::<Result<Vec<_>, String>>()?.join("&");
        let plain = if rest.is_empty() { address.to_owned() } else { format!("{address}?{rest}") };
        let mut config: Config =
            plain.parse().map_err(|error: tokio_postgres::Error| super::error::full_text(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("it names no host".into());
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err("it names no database".into());
        }
        let trust = tls.apply(&mut config)?;
        fill_in(&mut config);
        Ok(Self { config, trust })
    }
}

/// What a server needs of a connection, where the URL leaves it open.
fn fill_in(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        let is_only_one = config.get_hosts().len().max(config.get_hostaddrs().len()) == 1;
        config.connect_timeout(if is_only_one { CONNECT_TIMEOUT } else { CONNECT_TIMEOUT_OF_SEVERAL });
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    config.keepalives_idle(config.get_keepalives_idle().min(KEEPALIVE_IDLE));
    if config.get_application_name().is_none() {
        config.application_name("roster");
    }
    // Of several hosts, the one that takes writes is found, also after another was promoted.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
}

/// The parameters that say how a connection is secured.
#[derive(Default)]
struct TlsParameters {
    mode: Option<String>,
    authorities: Option<Authorities>,
}

impl TlsParameters {
    /// Whether the pair of a query is one of them.
    fn take(&mut self, pair: &str) -> Result<bool, String> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = || {
            let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
            decoded.map(|text| text.into_owned()).map_err(|_| format!("{key} is not UTF-8"))
        };
        match key {
            "sslmode" => self.mode = Some(value()?),
            "sslrootcert" => {
                self.authorities = Some(match value()?.as_str() {
                    "system" => Authorities::System,
                    path => Authorities::File(path.into()),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn apply(self, config: &mut Config) -> Result<Trust, String> {
        let authorities = || self.authorities.clone().unwrap_or(Authorities::System);
        let (mode, trust) = match self.mode.as_deref().unwrap_or("prefer") {
            "disable" => (SslMode::Disable, Trust::Any),
            "prefer" => (SslMode::Prefer, Trust::Any),
            // As libpq has it: whoever names an authority wants the certificate checked.
            "require" if self.authorities.is_some() => (SslMode::Require, Trust::Authority(authorities())),
            "require" => (SslMode::Require, Trust::Any),
            "verify-ca" => (SslMode::Require, Trust::Authority(authorities())),
            "verify-full" => (SslMode::Require, Trust::Host(authorities())),
            _ => return Err("sslmode takes disable, prefer, require, verify-ca or verify-full".into()),
        };
        config.ssl_mode(mode);
        Ok(trust)
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        write!(f, "{}/{}", self.server(), self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
