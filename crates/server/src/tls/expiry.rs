//! From when until when a certificate is good.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use x509_parser::parse_x509_certificate;

/// A certificate that ends within this time is to be renewed.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The time for which a certificate is good, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    from: i64,
    until: i64,
}

/// How a certificate stands at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Good for a while.
    Good,
    /// Good, but to be renewed.
    EndsSoon,
    /// Its time has not come.
    NotYet,
    /// Its time is over.
    Expired,
}

impl Validity {
    /// Of a certificate in DER form; `None` if it is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
    }

    /// How it stands at `now`.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Standing {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        if now < self.from {
            Standing::NotYet
        } else if now > self.until {
            Standing::Expired
        } else if self.until - now < SOON.as_secs().cast_signed() {
            Standing::EndsSoon
        } else {
            Standing::Good
        }
    }

    /// Its last moment, in seconds since the epoch.
    #[must_use]
    pub fn until_seconds(self) -> i64 {
        self.until
    }

    /// Its last moment, for people.
    #[must_use]
    pub fn until(self) -> String {
        show(self.until)
    }

    /// Its first moment, for people.
    #[must_use]
    pub fn from(self) -> String {
        show(self.from)
    }
}

fn show(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "the end of time".to_owned(), |time| time.to_string())
}
