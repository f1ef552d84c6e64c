//! How old what a call reads may be.

use std::time::Duration;

/// The most that a call may say, in milliseconds: an hour.
pub const STALENESS_MAX_MS: u64 = 3_600_000;

/// How old what a call reads may be: it sees at least everything that was done this long before it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Staleness(Duration);

impl Staleness {
    /// Nothing that was overwritten before the call began.
    pub const NONE: Self = Self(Duration::ZERO);

    /// This long, an hour at most.
    #[must_use]
    pub fn of(duration: Duration) -> Self {
        Self(duration.min(Duration::from_millis(STALENESS_MAX_MS)))
    }

    /// From digits alone: milliseconds, up to [`STALENESS_MAX_MS`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_number = (1..=STALENESS_MAX_MS.to_string().len()).contains(&text.len());
        let digits = str::from_utf8(text).ok().filter(|_| is_number && text.iter().all(u8::is_ascii_digit))?;
        let millis: u64 = digits.parse().ok()?;
        (millis <= STALENESS_MAX_MS).then_some(Self(Duration::from_millis(millis)))
    }

    /// Whether nothing old will do.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0.is_zero()
    }

    /// As a time.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_digits_alone() {
        let of = |millis| Some(Staleness(Duration::from_millis(millis)));
        let good = [("0", 0), ("1", 1), ("0250", 250), ("3600000", STALENESS_MAX_MS)];
        for (text, millis) in good {
            assert_eq!(Staleness::parse(text.as_bytes()), of(millis), "{text}");
        }
        for bad in ["", "-1", "+1", "1.5", "1s", " 1", "1 ", "3600001", "99999999", "0x1", "٣", "1,2"] {
            assert_eq!(Staleness::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert!(Staleness::NONE.is_none() && !Staleness::of(Duration::from_millis(1)).is_none());
        assert_eq!(Staleness::of(Duration::MAX), Staleness(Duration::from_hours(1)));
    }
}
