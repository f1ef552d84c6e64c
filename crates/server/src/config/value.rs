//! The types of settings that are more than a number or an address, and how they are read.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use tracing_subscriber::EnvFilter;

use crate::{
    model::{Permission, PermissionSet},
    store::postgres::PostgresUrl,
};

/// Where users are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file; relative paths start in the working directory.
    Sqlite(PathBuf),
    /// SQLite in memory: gone when the server stops.
    Memory,
    /// A PostgreSQL database, which other servers may share.
    Postgres(Box<PostgresUrl>),
}

impl DatabaseUrl {
    /// What the setting takes.
    pub(super) const TAKES: &str = "sqlite:PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST:PORT/DATABASE, with \
        several HOST:PORT by commas, and ?sslmode= (disable, prefer, require, verify-ca, verify-full) and &sslrootcert=";

    /// The file, if the database is one.
    #[must_use]
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Memory | Self::Postgres(_) => None,
        }
    }

    /// `text` without what may be a password: of anything but a plain SQLite path only the scheme is shown.
    #[must_use]
    pub fn redacted(text: &str) -> String {
        match text.split_once(':') {
            Some(("sqlite", _)) if !text.contains(['@', '?', '=']) => format!("{text:?}"),
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+') => {
                format!("\"{scheme}:…\"")
            }
            _ => "a text without a scheme".to_owned(),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = ();

    /// `sqlite://…` is refused: some tools read `sqlite:///x.db` as a relative path, others as an absolute one.
    fn from_str(text: &str) -> Result<Self, ()> {
        if PostgresUrl::is_meant_by(text) {
            return text.parse().map(|url| Self::Postgres(Box::new(url))).map_err(drop);
        }
        match text.strip_prefix("sqlite:").ok_or(())? {
            ":memory:" => Ok(Self::Memory),
            path if path.is_empty() || path.starts_with("//") || path.ends_with('/') || path.contains(['\0', '?']) => {
                Err(())
            }
            path => Ok(Self::Sqlite(path.into())),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("sqlite::memory:"),
            // Without the password.
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// Where this machine's operator calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorSocket {
    /// Beside the database file, with `.sock` after its name; nowhere if the database is none.
    BesideDatabase,
    /// Nowhere.
    Off,
    /// Here.
    At(PathBuf),
}

impl FromStr for OperatorSocket {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::BesideDatabase),
            "off" => Ok(Self::Off),
            path => file(path).map(Self::At).ok_or(()),
        }
    }
}

impl fmt::Display for OperatorSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BesideDatabase => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::At(path) => path.display().fmt(f),
        }
    }
}

/// The path of a file.
pub(super) fn file(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.ends_with('/') && !text.contains('\0')).then(|| text.into())
}

/// `NAME: PERMISSION PERMISSION…`. A name may have colons, as URIs do; a permission has none.
pub(super) fn service(text: &str) -> Option<(String, PermissionSet)> {
    let (name, permissions) = text.rsplit_once(':')?;
    let permissions: Option<PermissionSet> = permissions.split_whitespace().map(Permission::find).collect();
    Some((name.trim().to_owned(), permissions?))
        .filter(|(name, permissions)| !name.is_empty() && *permissions != PermissionSet::NONE)
}

/// The text that [`service`] reads.
pub(super) fn show_service(name: &str, permissions: PermissionSet) -> String {
    format!("{name}: {}", permissions.iter().map(Permission::name).collect::<Vec<_>>().join(" "))
}

/// What is logged: a level, or the directives of a `tracing` [`EnvFilter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// What the setting takes.
    pub(super) const TAKES: &str =
        "error, warn, info, debug, trace or off, or directives by module, such as info,roster::call=off";

    /// Levels, in lower case, with the names that Python's logging has for them.
    const LEVELS: &[(&str, &str)] = &[
        ("off", "off"),
        ("critical", "error"),
        ("fatal", "error"),
        ("error", "error"),
        ("warning", "warn"),
        ("warn", "warn"),
        ("info", "info"),
        ("debug", "debug"),
        ("trace", "trace"),
    ];

    /// The directives.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn level(name: &str) -> Option<&'static str> {
        let name = name.to_ascii_lowercase();
        Self::LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = ();

    /// `EnvFilter` alone would take a misspelt level for the name of a module and silence everything else.
    fn from_str(text: &str) -> Result<Self, ()> {
        let directive = |part: &str| match part.trim().split_once('=') {
            None => Self::level(part.trim()).map(str::to_owned),
            Some((target, level)) => Self::level(level).map(|level| format!("{target}={level}")),
        };
        let directives: Option<Vec<String>> = text.split(',').map(directive).collect();
        let text = directives.ok_or(())?.join(",");
        EnvFilter::try_new(&text).map_err(|_| ())?;
        Ok(Self(text))
    }
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Anybody.
    Open,
    /// Nobody but who has the permission to create users.
    Closed,
}

impl SignUp {
    /// All values with their names.
    pub(super) const ALL: &[(Self, &str)] = &[(Self::Open, "open"), (Self::Closed, "closed")];

    /// The value of this name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| text.eq_ignore_ascii_case(name)).map(|(value, _)| *value)
    }

    /// The name.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(value, _)| *value == self).map_or("", |(_, name)| name)
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// All values with their names.
    pub(super) const ALL: &[(Self, &str)] = &[(Self::Auto, "auto"), (Self::Human, "human"), (Self::Json, "json")];

    /// The value of this name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| text.eq_ignore_ascii_case(name)).map(|(value, _)| *value)
    }

    /// The name.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(value, _)| *value == self).map_or("", |(_, name)| name)
    }
}

/// `IP:PORT` or `localhost:PORT`. Names are not looked up: what the server binds must not depend on DNS.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse().ok(),
        None => text.parse().ok(),
    }
}

/// An origin as a browser sends it: scheme, host, port if it is not the scheme's; or `*` for any.
pub(super) fn origin(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain =
        |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b));
    (text == "*" || host.is_some_and(plain)).then(|| text.to_ascii_lowercase())
}

/// Sizes people write: `4096`, `64MiB`, `64 MiB`, `1GiB`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = UNITS.iter().find(|(name, _)| unit.trim().eq_ignore_ascii_case(name))?.1;
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The shortest exact text that [`bytes`] reads.
pub(super) fn show_bytes(count: u64) -> String {
    let (unit, shift) =
        UNITS.iter().rev().find(|(_, shift)| count != 0 && count.is_multiple_of(1 << shift)).unwrap_or(&UNITS[0]);
    format!("{}{}{unit}", count >> shift, if unit.is_empty() { "" } else { " " })
}

const UNITS: [(&str, u32); 4] = [("", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30)];
