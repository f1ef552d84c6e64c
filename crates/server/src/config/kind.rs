//! The kinds of settings: which field of [`Config`] each sets, from what text, within which bounds.

use std::{
    collections::BTreeMap, fmt::Display, net::SocketAddr, ops::RangeInclusive, path::PathBuf, str::FromStr,
    time::Duration,
};

use super::{
    CollectorUrl, Config, DatabaseUrl, LinkTemplate, LogFormat, LogLevel, MailFrom, OperatorSocket, PublicUrl, Share,
    SignUp, SmtpUrl,
    value::{address, bytes, file, origin, service, show_bytes, show_service},
};
use crate::{
    model::{Permission, PermissionSet},
    redis::RedisUrl,
    store::postgres::PostgresUrl,
    tls::ClientCertificates,
};

/// Way to a field.
type Field<T> = fn(&mut Config) -> &mut T;

/// What a setting takes, and where it goes.
#[derive(Debug)]
pub(super) enum Kind {
    Switch(Field<bool>),
    Count(RangeInclusive<u64>, Field<usize>),
    Bytes(RangeInclusive<u64>, Field<usize>),
    Millis(RangeInclusive<u64>, Field<Duration>),
    Address(Field<SocketAddr>),
    AddressOrOff(Field<Option<SocketAddr>>),
    Port(Field<SocketAddr>),
    Database(Field<DatabaseUrl>),
    Replicas(Field<Option<PostgresUrl>>),
    LogLevel(Field<LogLevel>),
    LogFormat(Field<LogFormat>),
    Origins(Field<Vec<String>>),
    FileOrOff(Field<Option<PathBuf>>),
    ClientCertificates(Field<ClientCertificates>),
    Services(Field<BTreeMap<String, PermissionSet>>),
    Socket(Field<OperatorSocket>),
    Word(Field<String>),
    SignUp(Field<SignUp>),
    PublicUrl(Field<Option<PublicUrl>>),
    Link(Field<Option<LinkTemplate>>),
    Smtp(Field<Option<SmtpUrl>>),
    Sender(Field<Option<MailFrom>>),
    Collector(Field<Option<CollectorUrl>>),
    Share(Field<Share>),
    Redis(Field<Option<RedisUrl>>),
    Prefix(Field<String>),
}

impl Kind {
    /// Puts the value of `text` into `config`, or leaves it as it is and fails.
    pub(super) fn set(&self, config: &mut Config, text: &str) -> Result<(), ()> {
        match self {
            Self::Switch(field) => *field(config) = switch(text).ok_or(())?,
            Self::Count(range, field) => *field(config) = within(range, text.trim().parse().ok())?,
            Self::Bytes(range, field) => *field(config) = within(range, bytes(text))?,
            Self::Millis(range, field) => {
                *field(config) = Duration::from_millis(within(range, text.trim().parse().ok())?);
            }
            Self::Address(field) => *field(config) = address(text).ok_or(())?,
            Self::AddressOrOff(field) if text.eq_ignore_ascii_case("off") => *field(config) = None,
            Self::AddressOrOff(field) => *field(config) = Some(address(text).ok_or(())?),
            Self::Port(field) => field(config).set_port(text.trim().parse().map_err(|_| ())?),
            Self::Database(field) => *field(config) = text.parse()?,
            Self::Replicas(field) if text == "off" => *field(config) = None,
            Self::Replicas(field) => *field(config) = Some(text.parse().map_err(drop)?),
            Self::LogLevel(field) => *field(config) = text.parse()?,
            Self::LogFormat(field) => *field(config) = LogFormat::parse(text).ok_or(())?,
            Self::SignUp(field) => *field(config) = SignUp::parse(text).ok_or(())?,
            Self::Origins(field) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                *field(config) = parts.map(origin).collect::<Option<_>>().ok_or(())?;
            }
            Self::FileOrOff(field) if text == "off" => *field(config) = None,
            Self::FileOrOff(field) => *field(config) = Some(file(text).ok_or(())?),
            Self::ClientCertificates(field) => {
                let known = CLIENT_CERTIFICATES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
                *field(config) = known.ok_or(())?.1;
            }
            Self::Services(field) => {
                let mut services = BTreeMap::new();
                for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                    let (name, permissions) = service(part).ok_or(())?;
                    services.insert(name, permissions).map_or(Ok(()), |_| Err(()))?;
                }
                *field(config) = services;
            }
            Self::Socket(field) => *field(config) = text.parse()?,
            Self::Word(field) => *field(config) = word(text).ok_or(())?,
            Self::PublicUrl(field) => *field(config) = if_any(text)?,
            Self::Link(field) => *field(config) = if_any(text)?,
            Self::Smtp(field) => *field(config) = if_any(text)?,
            Self::Sender(field) => *field(config) = if_any(text)?,
            Self::Collector(field) if text == "off" => *field(config) = None,
            Self::Collector(field) => *field(config) = if_any(text)?,
            Self::Share(field) => *field(config) = text.trim().parse()?,
            Self::Redis(field) if text == "off" => *field(config) = None,
            Self::Redis(field) => *field(config) = if_any(text)?,
            Self::Prefix(field) => *field(config) = prefix(text).ok_or(())?,
        }
        Ok(())
    }

    /// What would be valid, to end the sentence "it takes …".
    pub(super) fn takes(&self) -> String {
        match self {
            Self::Switch(_) => "true or false".into(),
            Self::Count(range, _) => format!("a whole number from {} to {}", range.start(), range.end()),
            Self::Bytes(range, _) => format!(
                "bytes, or a number with KiB, MiB or GiB, from {} to {}",
                show_bytes(*range.start()),
                show_bytes(*range.end())
            ),
            Self::Millis(range, _) => {
                format!("a whole number of milliseconds from {} to {}", range.start(), range.end())
            }
            Self::Address(_) => "IP:PORT, such as 0.0.0.0:50051 or [::1]:50051, or localhost:PORT".into(),
            Self::AddressOrOff(_) => "IP:PORT, such as 0.0.0.0:8000 or [::1]:8000, or localhost:PORT, or off".into(),
            Self::Port(_) => "a port from 0 (any free one) to 65535".into(),
            Self::Database(_) => DatabaseUrl::TAKES.into(),
            Self::Replicas(_) => {
                "postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE with the parameters of database_url, or off"
                    .into()
            }
            Self::LogLevel(_) => LogLevel::TAKES.into(),
            Self::LogFormat(_) => LogFormat::ALL.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", "),
            Self::SignUp(_) => SignUp::ALL.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", "),
            Self::Origins(_) => {
                "origins such as https://console.example.com, or * for any (a list in the file, commas elsewhere)"
                    .into()
            }
            Self::FileOrOff(_) => "the path of a PEM file, or off".into(),
            Self::ClientCertificates(_) => CLIENT_CERTIFICATES.map(|(name, _)| name).join(", "),
            Self::Services(_) => format!(
                "NAME: PERMISSION PERMISSION… for each service, such as billing.example.com: users.read users.list (a \
                 list in the file, commas elsewhere); the permissions are {}",
                Permission::ALL.iter().map(|permission| permission.name()).collect::<Vec<_>>().join(", ")
            ),
            Self::Socket(_) => "the path of a file, or auto, or off".into(),
            Self::Word(_) => format!("1 to {WORD_MAX_CHARS} visible ASCII characters"),
            Self::PublicUrl(_) => PublicUrl::TAKES.into(),
            Self::Link(_) => LinkTemplate::TAKES.into(),
            Self::Smtp(_) => SmtpUrl::TAKES.into(),
            Self::Sender(_) => MailFrom::TAKES.into(),
            Self::Collector(_) => format!("{}, or off", CollectorUrl::TAKES),
            Self::Share(_) => Share::TAKES.into(),
            Self::Redis(_) => format!("{}, or off", RedisUrl::TAKES),
            Self::Prefix(_) => format!("1 to {PREFIX_MAX_CHARS} letters, digits and - _ . : of ASCII"),
        }
    }

    /// The value in `config`, as text that [`Self::set`] takes.
    pub(super) fn show(&self, config: &Config) -> String {
        let mut config = config.clone();
        let config = &mut config;
        match self {
            Self::Switch(field) => field(config).to_string(),
            Self::Count(_, field) => field(config).to_string(),
            Self::Bytes(_, field) => show_bytes(*field(config) as u64),
            Self::Millis(_, field) => field(config).as_millis().to_string(),
            Self::Address(field) => field(config).to_string(),
            Self::AddressOrOff(field) => field(config).map_or("off".into(), |addr| addr.to_string()),
            Self::Port(field) => field(config).port().to_string(),
            Self::Database(field) => field(config).to_string(),
            Self::Replicas(field) => field(config).as_ref().map_or("off".into(), PostgresUrl::to_string),
            Self::LogLevel(field) => field(config).as_str().to_owned(),
            Self::LogFormat(field) => field(config).name().to_owned(),
            Self::Origins(field) => field(config).join(","),
            Self::FileOrOff(field) => {
                field(config).as_ref().map_or("off".into(), |path| path.to_string_lossy().into_owned())
            }
            Self::ClientCertificates(field) => {
                let value = *field(config);
                CLIENT_CERTIFICATES.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name).to_owned()
            }
            Self::Services(field) => {
                let services = field(config).iter().map(|(name, permissions)| show_service(name, *permissions));
                services.collect::<Vec<_>>().join(", ")
            }
            Self::Socket(field) => field(config).to_string(),
            Self::Word(field) => field(config).clone(),
            Self::SignUp(field) => field(config).name().to_owned(),
            Self::PublicUrl(field) => show_if_any(field(config)),
            Self::Link(field) => show_if_any(field(config)),
            Self::Smtp(field) => show_if_any(field(config)),
            Self::Sender(field) => show_if_any(field(config)),
            Self::Collector(field) => field(config).as_ref().map_or("off".into(), CollectorUrl::to_string),
            Self::Share(field) => field(config).to_string(),
            Self::Redis(field) => field(config).as_ref().map_or("off".into(), RedisUrl::to_string),
            Self::Prefix(field) => field(config).clone(),
        }
    }

    /// `text` quoted, without what may be secret.
    pub(super) fn redacted(&self, text: &str) -> String {
        match self {
            Self::Database(_) | Self::Replicas(_) => DatabaseUrl::redacted(text),
            Self::Smtp(_) => SmtpUrl::redacted(text),
            Self::Collector(_) => CollectorUrl::redacted(text),
            Self::Redis(_) => RedisUrl::redacted(text),
            _ => format!("{:?}", text.chars().take(SHOWN_CHARS_MAX).collect::<String>()),
        }
    }

    /// The text of a value in the file. What no kind takes, such as a table, keeps its TOML form and fails later.
    pub(super) fn text_of(&self, value: &toml::Value) -> String {
        match (self, value) {
            (_, toml::Value::String(text)) => text.clone(),
            (Self::Origins(_) | Self::Services(_), toml::Value::Array(items)) => {
                items.iter().map(|item| item.as_str().unwrap_or("?")).collect::<Vec<_>>().join(",")
            }
            (_, value) => value.to_string(),
        }
    }
}

/// Whether clients show certificates, by name.
const CLIENT_CERTIFICATES: [(&str, ClientCertificates); 3] = [
    ("off", ClientCertificates::Off),
    ("optional", ClientCertificates::Optional),
    ("required", ClientCertificates::Required),
];
/// Characters that a name may have.
const WORD_MAX_CHARS: usize = 200;

/// Characters that a prefix of keys may have.
const PREFIX_MAX_CHARS: usize = 50;

/// No braces: what is in them decides where a cluster has a key.
fn prefix(text: &str) -> Option<String> {
    let text = text.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    ((1..=PREFIX_MAX_CHARS).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = (1..=WORD_MAX_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// Characters of a bad value that an error repeats.
const SHOWN_CHARS_MAX: usize = 100;

fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The value of `text`; none if it is empty.
fn if_any<T: FromStr<Err = ()>>(text: &str) -> Result<Option<T>, ()> {
    if text.trim().is_empty() { Ok(None) } else { text.trim().parse().map(Some) }
}

fn show_if_any<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(String::new, T::to_string)
}

fn within<T: TryFrom<u64>>(range: &RangeInclusive<u64>, value: Option<u64>) -> Result<T, ()> {
    let value = value.filter(|value| range.contains(value)).ok_or(())?;
    T::try_from(value).map_err(|_| ())
}
