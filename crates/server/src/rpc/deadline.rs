//! The deadline that a caller sets with `grpc-timeout`.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

const HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// When the caller gives up whose call came at this time; `Ok(None)` if it waits for ever, `Err` with what came if that is
/// no timeout.
pub(super) fn parse(headers: &HeaderMap, came_at: std::time::Instant) -> Result<Option<Instant>, String> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse_timeout);
    let timeout = timeout.ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(value.as_bytes()).chars().take(20).collect();
        format!("{shown:?} is no timeout; use 1 to 8 digits and one of H, M, S, m, u, n")
    })?;
    Ok(came_at.checked_add(timeout).map(Instant::from_std))
}

/// `TimeoutValue TimeoutUnit` of the gRPC over HTTP/2 protocol.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3_600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_has_them() {
        assert_eq!(parse_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        assert_eq!(parse_timeout("1n"), Some(Duration::from_nanos(1)));
        for garbage in ["", "S", "5", "-1S", "+1S", "123456789S", "1.5S", "5s", "5 S", "٣S", "5€"] {
            assert_eq!(parse_timeout(garbage), None, "{garbage}");
        }
    }
}
