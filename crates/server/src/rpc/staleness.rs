//! `x-max-staleness-ms`: how old what a call reads may be.

use http::{HeaderMap, HeaderName};

use crate::model::{Staleness, Violations, staleness::STALENESS_MAX_MS};

/// The metadata's name.
const HEADER: HeaderName = HeaderName::from_static("x-max-staleness-ms");
/// Characters of a bad value that an error repeats.
const SHOWN_CHARS_MAX: usize = 20;

/// What the headers of a call that reads say; `None` if they say nothing.
pub(super) fn parse(headers: &HeaderMap) -> Result<Option<Staleness>, Violations> {
    let Some(first) = headers.get(&HEADER) else { return Ok(None) };
    let count = headers.get_all(&HEADER).iter().count();
    let staleness = Staleness::parse(first.as_bytes()).filter(|_| count == 1);
    staleness.map(Some).ok_or_else(|| {
        let came = match count {
            1 => {
                let text = String::from_utf8_lossy(first.as_bytes());
                format!("{:?}", text.chars().take(SHOWN_CHARS_MAX).collect::<String>())
            }
            count => format!("came {count} times and"),
        };
        let mut violations = Violations::new();
        let allowed = format!("must be one whole number of milliseconds from 0 to {STALENESS_MAX_MS}");
        violations.add(HEADER.as_str(), format!("{came} {allowed}"));
        violations
    })
}
