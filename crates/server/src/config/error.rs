//! What is wrong with the configuration: which key, where it came from, what it takes.

use std::{fmt, net::SocketAddr};

/// How alike an unknown name and a known one must be, 0 to 1, for the known one to be suggested.
const SUGGESTION_LIKENESS_MIN: f64 = 0.75;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A configuration file, by name.
    File(String),
    /// An environment variable, by name.
    Env(String),
    /// A flag, without its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(name) => write!(f, "in {name}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// Why the configuration cannot be used. Each text is one line and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named cannot be read.
    #[error("cannot read the configuration file {file}: {error}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        error: String,
    },
    /// The file is not TOML.
    #[error("{file}, line {line}: not valid TOML: {detail}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// There is no such setting.
    #[error("unknown setting {name:?} ({origin}){}", nearest.as_ref().map_or(String::new(), |n| format!("; did you mean {n}?")))]
    Unknown {
        /// What came.
        name: String,
        /// From where.
        origin: Origin,
        /// The known name that is most like it, if one is.
        nearest: Option<String>,
    },
    /// The setting does not take this value.
    #[error("{key} cannot be {came} ({origin}); it takes {takes}")]
    BadValue {
        /// The setting.
        key: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// The value, quoted, and without what may be secret.
        came: String,
        /// What would be valid.
        takes: String,
    },
    /// `--dev` makes everybody an administrator, so it must stay on this machine.
    #[error(
        "{key} cannot be {addr} ({origin}) with dev: dev makes every caller an administrator, so it takes a loopback address, such as 127.0.0.1:{}",
        addr.port()
    )]
    DevNotLoopback {
        /// The setting.
        key: &'static str,
        /// Where it would listen.
        addr: SocketAddr,
        /// Where the value came from.
        origin: Origin,
    },
    /// One setting is of no use without another.
    #[error("{key} ({origin}) needs {needs} too")]
    Needs {
        /// The setting.
        key: &'static str,
        /// Where its value came from.
        origin: Origin,
        /// What has to be set with it.
        needs: &'static str,
    },
    /// Passwords and tokens would cross a network in plain text.
    #[error(
        "{key} cannot be {addr} ({origin}) in plain text, which everybody on the way can read: set tls_certificate and tls_key (`roster cert dev` makes some), or listen on loopback, such as 127.0.0.1:{}, or allow it with insecure_plaintext (--insecure-plaintext)",
        addr.port()
    )]
    Plaintext {
        /// The setting.
        key: &'static str,
        /// Where it would listen.
        addr: SocketAddr,
        /// Where the value came from.
        origin: Origin,
    },
    /// Two listeners on one address.
    #[error(
        "grpc_addr and http_addr cannot both be {addr} ({origin}); give one of them another port, or http_addr = \"off\""
    )]
    SameAddress {
        /// The address.
        addr: SocketAddr,
        /// Where the value of `grpc_addr` came from.
        origin: Origin,
    },
    /// A cluster has one database.
    #[error("redis_url cannot name the database {number} ({origin}): a cluster of Redis has no other than 0")]
    ClusterDatabase {
        /// What it names.
        number: i64,
        /// Where the value came from.
        origin: Origin,
    },
    /// Mails can be sent, but nobody has said where their links lead.
    #[error(
        "smtp_url is set ({origin}), but public_url is not, and mails have links; set public_url to where people reach \
         this server, such as https://accounts.example.com, or both verify_email_url and reset_password_url"
    )]
    PublicUrlMissing {
        /// Where the value of `smtp_url` came from.
        origin: Origin,
    },
    /// Mails can be sent, but nobody has said from whom.
    #[error(
        "smtp_url is set ({origin}), but mail_from is not; set it to who mails are from, such as accounts@example.com"
    )]
    MailFromMissing {
        /// Where the value of `smtp_url` came from.
        origin: Origin,
    },
}

impl ConfigError {
    /// An unknown name, with the one of `known` that is most like it.
    pub(super) fn unknown(name: &str, origin: Origin, known: impl Iterator<Item = String>) -> Self {
        let likeness = |known: &String| strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
        let nearest = known.map(|known| (likeness(&known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
        let nearest = nearest.filter(|(likeness, _)| *likeness >= SUGGESTION_LIKENESS_MIN).map(|(_, known)| known);
        Self::Unknown { name: name.to_owned(), origin, nearest }
    }
}
