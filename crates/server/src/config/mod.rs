//! The server's configuration: defaults < `roster.toml` < environment < flags.
//!
//! [`settings::SETTINGS`] is the one table of what can be set; parsing, error texts, the flags of
//! `roster serve` and `docs/configuration.md` all come from it. [`Config::load`] is pure: whoever
//! calls it hands over the file's text, the environment and the flags.

mod error;
mod kind;
mod mail;
pub mod reference;
pub mod settings;
mod trace;
mod value;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZero,
    path::PathBuf,
    thread,
    time::Duration,
};

pub use error::{ConfigError, Origin};
pub use mail::{LinkTemplate, MailFrom, PublicUrl, SmtpTls, SmtpUrl};
pub use settings::Setting;
pub use trace::{CollectorUrl, Share};
pub use value::{DatabaseUrl, LogFormat, LogLevel, OperatorSocket, SignUp};

use crate::{
    model::{PermissionSet, Rate, Rates},
    redis::{RedisOptions, RedisUrl},
    store::postgres::PostgresUrl,
    tls::{ClientCertificates, ClientFiles, TlsFiles},
};
use settings::{ENV_PREFIX, OTHER_VARIABLES, SETTINGS};

/// The file that is read when no other is named.
pub const DEFAULT_FILE: &str = "roster.toml";
/// Where gRPC listens unless told otherwise.
pub const DEFAULT_GRPC_PORT: u16 = 50051;
/// Where HTTP listens unless told otherwise.
pub const DEFAULT_HTTP_PORT: u16 = 8000;
/// The database file that is used unless told otherwise.
const DEFAULT_DATABASE_FILE: &str = "roster.db";
/// Argon2id takes 19 MiB and 15 ms a hash, so more than these waiting means seconds of delay.
const DEFAULT_HASH_QUEUE_MAX: usize = 256;
const DEFAULT_WRITE_QUEUE_MAX: usize = 4096;
const DEFAULT_QUEUE_WAIT_MAX: Duration = Duration::from_secs(1);
const DEFAULT_DATABASE_CONNECTIONS: usize = 16;
const DEFAULT_REDIS_PREFIX: &str = "roster";
const DEFAULT_REDIS_WAIT_MAX: Duration = Duration::from_millis(50);
const DEFAULT_CACHE_BYTES: usize = 64 << 20;
const DEFAULT_CONNECTIONS_MAX: usize = 10_000;
const DEFAULT_STREAMS_MAX: usize = 1000;
const DEFAULT_MESSAGE_BYTES_MAX: usize = 50 << 20;
const DEFAULT_DRAIN_GRACE: Duration = Duration::from_secs(30);
const DEFAULT_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_TOKEN_NAME: &str = "roster";
const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 60);
const DEFAULT_VERIFIED_TOKENS_MAX: usize = 65_536;
const DEFAULT_SESSION_IDLE: Duration = Duration::from_secs(30 * 24 * 3_600);
const DEFAULT_PRESENCE_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_PRESENCE_FORGET_AFTER: Duration = Duration::from_secs(10 * 60);
const DEFAULT_PRESENCE_CLIENTS_MAX: usize = 1_000_000;
const DEFAULT_SIGN_IN_FREE_FAILURES: usize = 5;
const DEFAULT_SIGN_IN_FREE_FAILURES_PER_ADDRESS: usize = 500;
const DEFAULT_WATCHERS_MAX: usize = 20_000;
const DEFAULT_CHANGE_LOG_AGE: Duration = Duration::from_secs(90 * 24 * 3_600);
const DEFAULT_CHANGE_LOG_ROWS: usize = 10_000_000;
const DEFAULT_HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);
/// A link that resets a password is good for ten minutes: the first retries come soon.
const DEFAULT_MAIL_RETRY: Duration = Duration::from_secs(5);

/// What the server runs with. [`settings::SETTINGS`] says what each field means and takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Every caller is an administrator; only loopback addresses are allowed.
    pub dev: bool,
    /// Where gRPC listens; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// Where HTTP listens; `None` is off.
    pub http_addr: Option<SocketAddr>,
    /// The server's certificate; with [`Self::tls_key`], both ports speak TLS.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key.
    pub tls_key: Option<PathBuf>,
    /// Whose certificates clients may show.
    pub tls_client_ca: Option<PathBuf>,
    /// Whether they must.
    pub client_certificates: ClientCertificates,
    /// What services may do, by the name in their certificate.
    pub service_permissions: BTreeMap<String, PermissionSet>,
    /// Plain text is allowed beyond loopback.
    pub insecure_plaintext: bool,
    /// Where this machine's operator calls.
    pub operator_socket: OperatorSocket,
    /// Where users are kept.
    pub database_url: DatabaseUrl,
    /// Standbys of it that lists and searches may be read from.
    pub database_replica_url: Option<PostgresUrl>,
    /// How old what a call reads may be that does not say.
    pub max_staleness_default: Duration,
    /// Connections to PostgreSQL for writes, lists and searches.
    pub database_connections: usize,
    /// What servers share beside the database.
    pub redis_url: Option<RedisUrl>,
    /// Its nodes are a cluster's, though the URL names only one.
    pub redis_cluster: bool,
    /// What keys and channels in Redis begin with.
    pub redis_prefix: String,
    /// Certificates of authorities that may vouch for Redis, instead of the system's.
    pub redis_ca_file: Option<PathBuf>,
    /// How long a call waits for Redis.
    pub redis_wait_max: Duration,
    /// Threads that serve connections.
    pub workers: usize,
    /// What is logged.
    pub log_level: LogLevel,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where traces go; `None` is nowhere.
    pub otlp_endpoint: Option<CollectorUrl>,
    /// Certificates of authorities that may vouch for the collector, instead of the system's.
    pub otlp_ca_file: Option<PathBuf>,
    /// The share of calls that are traced.
    pub trace_ratio: Share,
    /// A caller that traces its call or does not decides that for ours.
    pub trace_follow_caller: bool,
    /// How long calls in flight may take to finish after the first signal to stop.
    pub drain_grace: Duration,
    /// Threads that hash passwords.
    pub hash_threads: usize,
    /// Password hashes that may wait.
    pub hash_queue_max: usize,
    /// Writes that may wait for the database's writer.
    pub write_queue_max: usize,
    /// How long a call may have to wait in a queue.
    pub queue_wait_max: Duration,
    /// Bytes of users kept in memory; 0 keeps none.
    pub cache_bytes: usize,
    /// Open connections.
    pub max_connections: usize,
    /// Concurrent calls on one connection.
    pub max_streams_per_connection: usize,
    /// Silence after which a connection is pinged.
    pub keepalive_interval: Duration,
    /// How long the answer to a ping may take.
    pub keepalive_timeout: Duration,
    /// How long a new connection may take to say its first bytes.
    pub preface_timeout: Duration,
    /// Bytes of one request or response message.
    pub max_message_bytes: usize,
    /// Web pages that may call with gRPC-Web, by origin.
    pub grpc_web_allowed_origins: Vec<String>,
    /// Who issues access tokens: their `iss`.
    pub token_issuer: String,
    /// For whom access tokens are: their `aud`.
    pub token_audience: String,
    /// How long an access token is good.
    pub access_token_lifetime: Duration,
    /// Verified tokens and keys that are remembered.
    pub verified_tokens_max: usize,
    /// How long a session lasts that is not used.
    pub session_idle: Duration,
    /// Wrong passwords of an account without delay.
    pub sign_in_free_failures: usize,
    /// Wrong passwords from an address without delay.
    pub sign_in_free_failures_per_address: usize,
    /// Silence after which a client counts as gone.
    pub presence_timeout: Duration,
    /// How long a client that is gone is known.
    pub presence_forget_after: Duration,
    /// Clients that may be known.
    pub presence_clients_max: usize,
    /// Clients that may watch users at once.
    pub watchers_max: usize,
    /// How long the change log keeps what was done.
    pub change_log_max_age: Duration,
    /// How many rows the change log keeps.
    pub change_log_max_rows: usize,
    /// How often the house is kept.
    pub housekeeping_every: Duration,
    /// Who may make an account.
    pub sign_up: SignUp,
    /// How often one caller or one address may call.
    pub rates: Rates,
    /// Where people reach this server with a browser; what mailed links start with.
    pub public_url: Option<PublicUrl>,
    /// The link that verifies an address, instead of a page of ours.
    pub verify_email_url: Option<LinkTemplate>,
    /// The link that resets a password, instead of a page of ours.
    pub reset_password_url: Option<LinkTemplate>,
    /// The mail server; without one, mails wait in the outbox.
    pub smtp_url: Option<SmtpUrl>,
    /// Certificates of authorities that may vouch for the mail server, besides the system's.
    pub smtp_ca_file: Option<PathBuf>,
    /// Who mails are from.
    pub mail_from: Option<MailFrom>,
    /// How long after a first failure a mail is tried again; each further time twice as long.
    pub mail_retry: Duration,
    /// What is odd but no reason to stop; to be logged once at the start.
    pub warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self::defaults(false)
    }
}

impl Config {
    /// The defaults, with or without `--dev`.
    #[must_use]
    pub fn defaults(dev: bool) -> Self {
        let host = IpAddr::V4(if dev { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED });
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(1024);
        Self {
            dev,
            grpc_addr: SocketAddr::new(host, DEFAULT_GRPC_PORT),
            http_addr: Some(SocketAddr::new(host, DEFAULT_HTTP_PORT)),
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            client_certificates: ClientCertificates::Off,
            service_permissions: BTreeMap::new(),
            insecure_plaintext: false,
            operator_socket: OperatorSocket::BesideDatabase,
            database_url: DatabaseUrl::Sqlite(DEFAULT_DATABASE_FILE.into()),
            database_replica_url: None,
            max_staleness_default: Duration::ZERO,
            database_connections: DEFAULT_DATABASE_CONNECTIONS,
            redis_url: None,
            redis_cluster: false,
            redis_prefix: DEFAULT_REDIS_PREFIX.into(),
            redis_ca_file: None,
            redis_wait_max: DEFAULT_REDIS_WAIT_MAX,
            workers: cores,
            log_level: LogLevel::default(),
            log_format: LogFormat::Auto,
            otlp_endpoint: None,
            otlp_ca_file: None,
            trace_ratio: Share::ALL,
            trace_follow_caller: false,
            drain_grace: DEFAULT_DRAIN_GRACE,
            hash_threads: cores,
            hash_queue_max: DEFAULT_HASH_QUEUE_MAX,
            write_queue_max: DEFAULT_WRITE_QUEUE_MAX,
            queue_wait_max: DEFAULT_QUEUE_WAIT_MAX,
            cache_bytes: DEFAULT_CACHE_BYTES,
            max_connections: DEFAULT_CONNECTIONS_MAX,
            max_streams_per_connection: DEFAULT_STREAMS_MAX,
            keepalive_interval: DEFAULT_KEEPALIVE_INTERVAL,
            keepalive_timeout: DEFAULT_KEEPALIVE_TIMEOUT,
            preface_timeout: DEFAULT_PREFACE_TIMEOUT,
            max_message_bytes: DEFAULT_MESSAGE_BYTES_MAX,
            grpc_web_allowed_origins: Vec::new(),
            token_issuer: DEFAULT_TOKEN_NAME.into(),
            token_audience: DEFAULT_TOKEN_NAME.into(),
            access_token_lifetime: DEFAULT_TOKEN_LIFETIME,
            verified_tokens_max: DEFAULT_VERIFIED_TOKENS_MAX,
            session_idle: DEFAULT_SESSION_IDLE,
            sign_in_free_failures: DEFAULT_SIGN_IN_FREE_FAILURES,
            sign_in_free_failures_per_address: DEFAULT_SIGN_IN_FREE_FAILURES_PER_ADDRESS,
            presence_timeout: DEFAULT_PRESENCE_TIMEOUT,
            presence_forget_after: DEFAULT_PRESENCE_FORGET_AFTER,
            presence_clients_max: DEFAULT_PRESENCE_CLIENTS_MAX,
            watchers_max: DEFAULT_WATCHERS_MAX,
            change_log_max_age: DEFAULT_CHANGE_LOG_AGE,
            change_log_max_rows: DEFAULT_CHANGE_LOG_ROWS,
            housekeeping_every: DEFAULT_HOUSEKEEPING_EVERY,
            sign_up: SignUp::Open,
            rates: default_rates(dev),
            public_url: None,
            verify_email_url: None,
            reset_password_url: None,
            smtp_url: None,
            smtp_ca_file: None,
            mail_from: dev.then(|| MailFrom { name: "Roster".into(), email: "roster@localhost".into() }),
            mail_retry: DEFAULT_MAIL_RETRY,
            warnings: Vec::new(),
        }
    }

    /// Puts the layers together: `file` is a name (for error texts) and its TOML text, `env` the
    /// whole environment, `flags` pairs of a setting's key and what was given for it. Later layers
    /// win, but a value that is overridden must be valid too.
    ///
    /// # Errors
    /// The first setting that is unknown or bad, with where it came from and what it takes.
    pub fn load(
        file: Option<(&str, &str)>,
        env: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, ConfigError> {
        let env: BTreeMap<String, String> = env.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut given = match file {
            Some((name, text)) => from_file(name, text)?,
            None => Vec::new(),
        };
        given.extend(from_env(&env)?);
        given.extend(from_flags(flags)?);

        let mut switches = Self::defaults(false);
        for one in given.iter().filter(|one| one.setting.key == "dev") {
            one.apply(&mut switches)?;
        }
        let mut config = Self::defaults(switches.dev);
        for one in &given {
            one.apply(&mut config)?;
        }
        config.check(&given)?;
        config.warnings.extend(config.oddities());
        Ok(config)
    }

    /// What is odd, but no reason to stop.
    fn oddities(&self) -> Option<String> {
        let alone = self.redis_url.is_some() && !matches!(self.database_url, DatabaseUrl::Postgres(_));
        alone.then(|| {
            "redis_url is set, and a SQLite database is one server's own: limits and lockouts outlive a restart, and \
             nothing else is gained"
                .to_owned()
        })
    }

    /// What no setting can see alone.
    fn check(&self, given: &[Given]) -> Result<(), ConfigError> {
        let origin = |keys: &[&str]| {
            given.iter().rev().find(|g| keys.contains(&g.setting.key)).map_or(Origin::Default, |g| g.origin.clone())
        };
        for (key, addr) in [("grpc_addr", Some(self.grpc_addr)), ("http_addr", self.http_addr)] {
            if let Some(addr) = addr.filter(|addr| self.dev && !addr.ip().to_canonical().is_loopback()) {
                return Err(ConfigError::DevNotLoopback { key, addr, origin: origin(&[key]) });
            }
        }
        if self.http_addr == Some(self.grpc_addr) && self.grpc_addr.port() != 0 {
            return Err(ConfigError::SameAddress { addr: self.grpc_addr, origin: origin(&["grpc_port", "grpc_addr"]) });
        }
        if self.smtp_url.is_some() {
            let origin = origin(&["smtp_url"]);
            let has_links = self.verify_email_url.is_some() && self.reset_password_url.is_some();
            if self.public_url.is_none() && !has_links && !self.dev {
                return Err(ConfigError::PublicUrlMissing { origin });
            }
            if self.mail_from.is_none() {
                return Err(ConfigError::MailFromMissing { origin });
            }
        }
        let is_postgres = matches!(self.database_url, DatabaseUrl::Postgres(_));
        if let Some(redis) = self.redis().filter(|redis| redis.is_cluster && redis.url.database() != 0) {
            return Err(ConfigError::ClusterDatabase { number: redis.url.database(), origin: origin(&["redis_url"]) });
        }
        let asked = self.client_certificates != ClientCertificates::Off;
        for (key, set, needs, there) in [
            ("tls_certificate", self.tls_certificate.is_some(), "tls_key", self.tls_key.is_some()),
            ("tls_key", self.tls_key.is_some(), "tls_certificate", self.tls_certificate.is_some()),
            ("tls_client_ca", self.tls_client_ca.is_some(), "tls_certificate", self.tls_certificate.is_some()),
            (
                "tls_client_ca",
                self.tls_client_ca.is_some(),
                "client_certificates = \"optional\" or \"required\"",
                asked,
            ),
            (
                "database_replica_url",
                self.database_replica_url.is_some(),
                "a database_url that starts with postgres://",
                is_postgres,
            ),
            ("client_certificates", asked, "tls_client_ca", self.tls_client_ca.is_some()),
            ("service_permissions", !self.service_permissions.is_empty(), "client_certificates", asked),
        ] {
            if set && !there {
                return Err(ConfigError::Needs { key, origin: origin(&[key]), needs });
            }
        }
        if self.tls_certificate.is_none() && !self.insecure_plaintext {
            for (key, addr) in [("grpc_addr", Some(self.grpc_addr)), ("http_addr", self.http_addr)] {
                if let Some(addr) = addr.filter(|addr| !addr.ip().to_canonical().is_loopback()) {
                    return Err(ConfigError::Plaintext { key, addr, origin: origin(&[key]) });
                }
            }
        }
        Ok(())
    }

    /// How Redis is used, if it is.
    #[must_use]
    pub fn redis(&self) -> Option<RedisOptions> {
        let url = self.redis_url.clone()?;
        Some(RedisOptions {
            is_cluster: self.redis_cluster || url.names_several(),
            url,
            prefix: self.redis_prefix.clone(),
            ca_file: self.redis_ca_file.clone(),
            wait_max: self.redis_wait_max,
        })
    }

    /// The files of TLS, if it is spoken.
    #[must_use]
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let required = self.client_certificates == ClientCertificates::Required;
        let asked = self.client_certificates != ClientCertificates::Off;
        let clients = self.tls_client_ca.clone().filter(|_| asked).map(|ca| ClientFiles { ca, required });
        Some(TlsFiles { certificate: self.tls_certificate.clone()?, key: self.tls_key.clone()?, clients })
    }

    /// Where the operator's socket is, if there is to be one.
    #[must_use]
    pub fn operator_socket_path(&self) -> Option<PathBuf> {
        match (&self.operator_socket, self.database_url.path()) {
            (OperatorSocket::Off, _) | (OperatorSocket::BesideDatabase, None) => None,
            (OperatorSocket::At(path), _) => Some(path.clone()),
            (OperatorSocket::BesideDatabase, Some(database)) => {
                let mut name = database.as_os_str().to_owned();
                name.push(".sock");
                Some(name.into())
            }
        }
    }
}

/// What people do by hand, an office behind one address included, is far below these rates, and what guesses, signs up
/// robots or floods mailboxes is not. Reads and writes are many where a service has one API key, so they are stopped only
/// where one caller would take all that a server gives. None for development: its clients are tests and benchmarks.
fn default_rates(dev: bool) -> Rates {
    let rate = |per_minute, burst| Rate { per_minute: if dev { 0 } else { per_minute }, burst };
    Rates {
        sign_in: rate(60, 100),
        sign_up: rate(60, 100),
        mail: rate(20, 20),
        read: rate(12_000_000, 2_000_000),
        write: rate(3_000_000, 500_000),
    }
}

/// A value for a setting, as one layer gave it.
struct Given {
    setting: &'static Setting,
    text: String,
    origin: Origin,
}

impl Given {
    fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        self.setting.kind.set(config, &self.text).map_err(|()| ConfigError::BadValue {
            key: self.setting.key,
            origin: self.origin.clone(),
            came: self.setting.kind.redacted(&self.text),
            takes: self.setting.kind.takes(),
        })
    }
}

fn from_file(name: &str, text: &str) -> Result<Vec<Given>, ConfigError> {
    // `toml` would quote the faulty line, which may hold a password; its number is enough.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        file: name.into(),
        line: error.span().map_or(1, |span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1),
        detail: error.message().replace('\n', ", "),
    })?;
    let origin = Origin::File(name.into());
    if let Some(key) = table.keys().find(|key| Setting::find(key).is_none()) {
        return Err(ConfigError::unknown(key, origin, SETTINGS.iter().map(|setting| setting.key.to_owned())));
    }
    // In the table's order, not the file's: `grpc_port` changes what `grpc_addr` set.
    let present = SETTINGS.iter().filter_map(|setting| Some((setting, table.get(setting.key)?)));
    Ok(present
        .map(|(setting, value)| Given { setting, text: setting.kind.text_of(value), origin: origin.clone() })
        .collect())
}

fn from_env(env: &BTreeMap<String, String>) -> Result<Vec<Given>, ConfigError> {
    let known = || SETTINGS.iter().map(Setting::env_name);
    let ours =
        |name: &str| known().any(|known| known == name) || OTHER_VARIABLES.iter().any(|(other, _)| *other == name);
    let stray = |(name, value): &(&String, &String)| {
        name.starts_with(ENV_PREFIX) && !ours(name) && !is_kubernetes_service_link(name, value)
    };
    if let Some((name, _)) = env.iter().find(stray) {
        return Err(ConfigError::unknown(name, Origin::Env(name.clone()), known()));
    }
    let mut given = Vec::new();
    for setting in SETTINGS {
        // The strongest name that is set wins, and the others say nothing.
        let names =
            [setting.env_name()].into_iter().chain(setting.also_env.iter().rev().map(|name| (*name).to_owned()));
        let mut set = names.filter_map(|name| Some((env.get(&name)?, name)));
        if let Some((text, name)) = set.find(|(text, name)| !is_kubernetes_service_link(name, text)) {
            given.push(Given { setting, text: text.clone(), origin: Origin::Env(name) });
        }
    }
    Ok(given)
}

fn from_flags(flags: impl IntoIterator<Item = (&'static str, String)>) -> Result<Vec<Given>, ConfigError> {
    let mut given = Vec::new();
    for (key, text) in flags {
        let Some(setting) = Setting::find(key) else {
            return Err(ConfigError::unknown(key, Origin::Flag("a flag"), std::iter::empty()));
        };
        given.push(Given { setting, text, origin: Origin::Flag(setting.flag.unwrap_or(setting.key)) });
    }
    given.sort_by_key(|one| SETTINGS.iter().position(|setting| setting.key == one.setting.key));
    Ok(given)
}

/// Kubernetes puts the address of every service into every pod's environment. For a service called
/// `roster` those are `ROSTER_SERVICE_HOST`, `ROSTER_PORT=tcp://10.0.0.7:50051`,
/// `ROSTER_PORT_50051_TCP_ADDR` and so on: not ours to judge, and never a setting.
fn is_kubernetes_service_link(name: &str, value: &str) -> bool {
    let names_protocol = ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT_") && names_protocol)
        || (name.ends_with("_PORT") && value.contains("://"))
}
