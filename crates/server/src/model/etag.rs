//! Etags ([AIP-154](https://google.aip.dev/154)): opaque to callers, different after every change.

use super::Timestamp;

/// The etag of a thing that was made at `created_at`, after `revision` changes. A later thing with the same id has
/// another one.
#[must_use]
pub(super) fn etag(created_at: Timestamp, revision: i64) -> String {
    // Made for every user of every response: a formatter would cost as much as the rest of the message.
    let mut digits = [0; 33];
    let mut start = push_hex(&mut digits, 33, created_at.0);
    start -= 1;
    digits[start] = b'-';
    start = push_hex(&mut digits, start, revision);
    digits[start..].iter().map(|&digit| char::from(digit)).collect()
}

/// Writes a number in hexadecimal before `end`; gives where it starts.
fn push_hex(digits: &mut [u8], end: usize, number: i64) -> usize {
    let (mut rest, mut start) = (number.cast_unsigned(), end);
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(rest & 0xf) as usize];
        rest >>= 4;
        if rest == 0 {
            return start;
        }
    }
}
