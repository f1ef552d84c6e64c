//! Where Redis is and how it is reached.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use percent_encoding::percent_decode_str;
use url::Host;

/// The port of Redis.
const DEFAULT_PORT: u16 = 6379;
/// Numbers that a database may have; what Redis itself allows is a setting of it, and usually 16.
const DATABASE_MAX: i64 = 1_000_000;

/// How Redis is used.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Where it is.
    pub url: RedisUrl,
    /// What all our keys and channels begin with.
    pub prefix: String,
    /// It is a cluster, of which the URL names a node or several.
    pub is_cluster: bool,
    /// Certificates of authorities that may vouch for it, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a call waits for it at most.
    pub wait_max: Duration,
}

/// A `redis://` or `rediss://` URL, parsed. Prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(super) is_tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// At least one.
    pub(super) nodes: Vec<Node>,
    pub(super) database: i64,
}

/// A server of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl RedisUrl {
    /// What the setting takes.
    pub(crate) const TAKES: &str = "redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss://… for TLS; user, password \
        (percent-encoded), port and number may be left out; several HOST:PORT by commas are nodes of one cluster";

    /// Hosts and ports.
    #[must_use]
    pub fn server(&self) -> String {
        self.nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// Whether it names several nodes, which are a cluster's then.
    #[must_use]
    pub fn names_several(&self) -> bool {
        self.nodes.len() > 1
    }

    /// The number of the database; a cluster has no other than 0.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.database
    }

    /// `text` without what may be a password: only the scheme is shown.
    pub(crate) fn redacted(text: &str) -> String {
        match text.split_once("://") {
            Some((scheme @ ("redis" | "rediss"), _)) => format!("\"{scheme}://…\""),
            _ => "a text that does not start with redis:// or rediss://".to_owned(),
        }
    }
}

impl FromStr for RedisUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(())?;
        let is_tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err(()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        let (user, password) = credentials.map_or(Ok((None, None)), parse_credentials)?;
        let nodes = hosts.split(',').map(parse_node).collect::<Option<Vec<_>>>().ok_or(())?;
        let database = match path {
            "" => 0,
            number => number.parse().ok().filter(|number| (0..=DATABASE_MAX).contains(number)).ok_or(())?,
        };
        Ok(Self { is_tls, user, password, nodes, database })
    }
}

/// `USER:PASSWORD` or `:PASSWORD`. A user without a password is a mistake: nobody would be signed in.
fn parse_credentials(text: &str) -> Result<(Option<String>, Option<String>), ()> {
    let (user, password) = text.split_once(':').ok_or(())?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(drop);
    let (user, password) = (decoded(user)?, decoded(password)?);
    if password.is_empty() { Err(()) } else { Ok((Some(user).filter(|user| !user.is_empty()), Some(password))) }
}

fn parse_node(text: &str) -> Option<Node> {
    let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match text[after_brackets..].rfind(':') {
        Some(colon) => (&text[..after_brackets + colon], text[after_brackets + colon + 1..].parse().ok()?),
        None => (text, DEFAULT_PORT),
    };
    let host = match Host::parse(host).ok()? {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Some(Node { host, port }).filter(|node| node.port != 0)
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls { "rediss://" } else { "redis://" })?;
        if self.password.is_some() {
            write!(f, "{}:redacted@", self.user.as_deref().unwrap_or_default())?;
        }
        write!(f, "{}/{}", self.server(), self.database)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_servers_and_keep_their_password() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://:p%40ss@r:1/3", "redis://:redacted@r:1/3"),
            ("rediss://ada:pass@[::1]/", "rediss://ada:redacted@[::1]:6379/0"),
            ("redis://ada:pass@a:1,b,[::1]:7", "redis://ada:redacted@a:1,b:6379,[::1]:7/0"),
        ] {
            let url: RedisUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}{}", url.server()).contains("ss@"), "{url:?}");
            // What is shown can be read again, but for the password.
            assert_eq!(shown.parse::<RedisUrl>().unwrap().nodes, url.nodes);
        }
        let url: RedisUrl = "redis://:p%40ss@r".parse().unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (None, Some("p@ss")));
        for text in [
            "",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis://ada@localhost",
            "redis://ada:@localhost",
            "redis://localhost:x",
            "redis://localhost:0",
            "redis://a,,b",
            "redis://a/b",
            "redis://a/-1",
            "redis://a/0?x=1",
            "redis://a b",
            "redis://[::1",
        ] {
            assert_eq!(text.parse::<RedisUrl>(), Err(()), "{text}");
        }
        for text in ["redis://:hunter2", "hunter2", "tcp://hunter2@a"] {
            assert!(!RedisUrl::redacted(text).contains("hunter2"), "{text}");
        }
    }
}
