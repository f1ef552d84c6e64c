//! What a caller shows to prove who it is: `authorization: Bearer …` with an access token or an API key.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, header::AUTHORIZATION};
use quick_cache::Equivalent;

/// Bytes that a token or key may have. Ours have a few hundred.
const CREDENTIAL_MAX_BYTES: usize = 4 * 1024;
/// Bytes at the end of a credential that nobody guesses: the half of a signature, or of a secret.
const SECRET_BYTES: usize = 32;

/// What the `authorization` headers of a call come to.
#[derive(Clone, Copy)]
pub enum Shown<'a> {
    /// There is none.
    Nothing,
    /// One token or key.
    Credential(Bearer<'a>),
    /// Anything else: another scheme, several of them, no text.
    Malformed,
}

impl<'a> Shown<'a> {
    /// Reads the headers.
    #[must_use]
    pub fn in_headers(headers: &'a HeaderMap) -> Self {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        match (all.next(), all.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => bearer(value.as_bytes()).map_or(Self::Malformed, Self::Credential),
            (Some(_), Some(_)) => Self::Malformed,
        }
    }
}

/// `Bearer` in any case, spaces, and the token of [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1). Which
/// characters a token has is not looked at on every call: one with others is not known, and then none of ours.
fn bearer(value: &[u8]) -> Option<Bearer<'_>> {
    let (scheme, rest) = value.split_at_checked("Bearer".len())?;
    let token = rest.strip_prefix(b" ")?.trim_ascii_start();
    let fits = scheme.eq_ignore_ascii_case(b"Bearer") && (1..=CREDENTIAL_MAX_BYTES).contains(&token.len());
    fits.then_some(Bearer(token))
}

/// A token or key in a header.
#[derive(Clone, Copy)]
pub struct Bearer<'a>(&'a [u8]);

impl Bearer<'_> {
    /// A copy to keep.
    pub(super) fn to_credential(self) -> Credential {
        Credential(self.0.into())
    }
}

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(redacted)")
    }
}

impl Hash for Bearer<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_end(self.0, state);
    }
}

/// Found in memory by [`Bearer`], without a copy.
impl Equivalent<Credential> for Bearer<'_> {
    fn equivalent(&self, key: &Credential) -> bool {
        is_equal(self.0, &key.0)
    }
}

/// A token or key that is kept. Prints redacted and compares in constant time.
#[derive(Clone)]
pub struct Credential(Arc<[u8]>);

impl Credential {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(redacted)")
    }
}

impl Hash for Credential {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_end(&self.0, state);
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        is_equal(&self.0, &other.0)
    }
}

impl Eq for Credential {}

/// Compares in constant time what is secret. What stands before it says whose credential it is, and only who has the
/// secret right comes to it.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let ((one, one_secret), (other, other_secret)) = (parts(one), parts(other));
    verify_slices_are_equal(one_secret, other_secret).is_ok() && one == other
}

fn hash_end<H: Hasher>(bytes: &[u8], state: &mut H) {
    state.write(parts(bytes).1);
}

fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len().saturating_sub(SECRET_BYTES))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn shown(values: &[&[u8]]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        match Shown::in_headers(&headers) {
            Shown::Nothing => Some(Vec::new()),
            Shown::Credential(bearer) => Some(bearer.to_credential().as_bytes().to_vec()),
            Shown::Malformed => None,
        }
    }

    #[test]
    fn one_bearer_is_read_and_nothing_else() {
        assert_eq!(shown(&[]), Some(Vec::new()));
        for good in ["Bearer abc.d-e_f~+/=", "bearer abc.d-e_f~+/=", "BEARER   abc.d-e_f~+/="] {
            assert_eq!(shown(&[good.as_bytes()]).unwrap(), b"abc.d-e_f~+/=", "{good}");
        }
        let long = format!("Bearer {}", "a".repeat(CREDENTIAL_MAX_BYTES + 1));
        for bad in ["", "Bearer", "Bearer ", "Bearer\tabc", "abc", "Basic YTpi", "Bearerabc", &long] {
            assert_eq!(shown(&[bad.as_bytes()]), None, "{bad}");
        }
        assert_eq!(shown(&[b"Bearer a", b"Bearer a"]), None);
        assert_eq!(shown(&[b"Bearer a", b"Basic b"]), None);
    }

    #[test]
    fn two_are_equal_if_all_their_bytes_are() {
        let one = [b'a'; 100];
        assert!(is_equal(&one, &one) && is_equal(b"", b"") && is_equal(b"ab", b"ab"));
        for at in 0..one.len() {
            let mut other = one;
            other[at] = b'b';
            assert!(!is_equal(&one, &other) && !is_equal(&one, &one[..at]), "{at}");
        }
    }

    #[test]
    fn a_credential_is_never_printed() {
        let bearer = bearer(b"Bearer abcdef").unwrap();
        assert_eq!(format!("{bearer:?} {:?}", bearer.to_credential()), "Bearer(redacted) Credential(redacted)");
    }
}
