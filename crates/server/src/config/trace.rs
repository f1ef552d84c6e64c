//! The settings of traces: which collector, and how many calls.

use std::{fmt, str::FromStr};

use url::{Host, Url};

/// Where traces go: `http://HOST:PORT`, or `https://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorUrl(String);

impl CollectorUrl {
    /// What the setting takes.
    pub(super) const TAKES: &str = "an http or https URL of a host and a port, such as http://127.0.0.1:4317";

    /// Without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, for who looks whether it is there.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(String, u16)> {
        let url = Url::parse(&self.0).ok()?;
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        Some((host, url.port_or_known_default()?))
    }

    /// `text` without what may be a password.
    pub(super) fn redacted(text: &str) -> String {
        if text.contains('@') { "a URL with a user".to_owned() } else { format!("{text:?}") }
    }
}

impl FromStr for CollectorUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text).map_err(|_| ())?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let has_user = !url.username().is_empty() || url.password().is_some();
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        if is_web && is_bare && !has_user { Ok(Self(url.as_str().trim_end_matches('/').to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part of a whole, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

/// Millionths of a whole.
const WHOLE: u32 = 1_000_000;

impl Share {
    /// What the setting takes.
    pub(super) const TAKES: &str = "a number from 0 to 1, such as 0.01";
    /// All of it.
    pub const ALL: Self = Self(WHOLE);

    /// From 0 to 1.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }
}

impl FromStr for Share {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number: f64 = text.parse().map_err(|_| ())?;
        if !(0.0..=1.0).contains(&number) {
            return Err(());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
        Ok(Self((number * f64::from(WHOLE)).round() as u32))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ratio().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_numbers_from_0_to_1() {
        for (text, shown) in [("0", "0"), ("1", "1"), ("1.0", "1"), ("0.01", "0.01"), ("1e-6", "0.000001")] {
            assert_eq!(text.parse::<Share>().map(|share| share.to_string()), Ok(shown.into()));
        }
        for bad in ["", "-0.1", "1.01", "NaN", "inf", "10%", "half"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn collectors_are_hosts_with_ports_and_no_secrets() {
        let url: CollectorUrl = "http://[::1]:4317/".parse().unwrap();
        assert_eq!((url.as_str(), url.host_and_port()), ("http://[::1]:4317", Some(("::1".into(), 4317))));
        assert!("https://collector.example".parse::<CollectorUrl>().is_ok());
        for bad in
            ["localhost:4317", "http://", "http://a:1/v1/traces", "http://ada:hunter2@a:1", "ftp://a:1", "http://a:1?x"]
        {
            assert!(bad.parse::<CollectorUrl>().is_err(), "{bad}");
            assert!(!CollectorUrl::redacted(bad).contains("hunter2"));
        }
    }
}
