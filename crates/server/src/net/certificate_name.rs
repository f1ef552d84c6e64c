//! The one name by which a client certificate is known.

use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// Bytes that a name may have.
const MAX_NAME_BYTES: usize = 255;

/// The name in a certificate that has been verified: its first URI, such as a SPIFFE id; else its first DNS name; else
/// the common name of its subject. `None` if that one is empty, longer than 255 bytes, or has control characters.
#[must_use]
pub(super) fn name_in(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let alternatives = certificate.subject_alternative_name().ok()?;
    let alternatives = alternatives.map_or(&[][..], |extension| &extension.value.general_names);
    let uri = alternatives.iter().find_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let dns = alternatives.iter().find_map(|name| match name {
        GeneralName::DNSName(dns) => Some(*dns),
        _ => None,
    });
    let common = || certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
    let name = uri.or(dns).or_else(common)?;
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control);
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn name(common: &str, alternatives: &[SanType]) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = alternatives.to_vec();
        name_in(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    #[test]
    fn a_uri_comes_before_a_dns_name_and_that_before_the_common_name() {
        let uri = SanType::URI("spiffe://example.org/billing".try_into().unwrap());
        let dns = SanType::DnsName("billing.example.org".try_into().unwrap());
        let ip = SanType::IpAddress([127, 0, 0, 1].into());
        let all = [ip.clone(), dns.clone(), uri];
        assert_eq!(name("billing", &all).as_deref(), Some("spiffe://example.org/billing"));
        assert_eq!(name("billing", &[ip.clone(), dns]).as_deref(), Some("billing.example.org"));
        assert_eq!(name("billing", &[ip]).as_deref(), Some("billing"));
        assert_eq!(name("two\nlines", &[]), None);
        assert_eq!(name(&"x".repeat(256), &[]), None);
        assert_eq!(name("", &[]), None);
        assert_eq!(name_in(b"no certificate"), None);
    }
}
