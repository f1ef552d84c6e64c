//! Certificates: whether a server could use them, until when they are good, and who can read the key.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::SystemTime};

use roster_server::{
    config::Config,
    tls::{self, Standing, TlsFiles, Validity},
};

use super::check::Check;
use crate::exit::Exit;

const NAME: &str = "TLS";

/// Looks at all of it.
pub fn checks(config: &Config) -> Vec<Check> {
    let mut checks = own(config);
    // Those above the server's own, and those that others are judged by.
    let files = [
        (&config.tls_certificate, "tls_certificate", 1),
        (&config.tls_client_ca, "tls_client_ca", 0),
        (&config.smtp_ca_file, "smtp_ca_file", 0),
        (&config.otlp_ca_file, "otlp_ca_file", 0),
    ];
    checks.extend(files.iter().filter_map(|(path, setting, skip)| authorities(path.as_deref()?, setting, *skip)));
    checks
}

/// The first authority in a file that is about to end or has ended.
fn authorities(path: &Path, setting: &'static str, skip: usize) -> Option<Check> {
    let (shown, now) = (path.display(), SystemTime::now());
    let advice = format!("put its successor into {setting}");
    let validities = match tls::validities(path, setting) {
        Ok(validities) => validities,
        // Told already where it is the server's own.
        Err(_) if skip > 0 => return None,
        Err(error) => return Some(Check::fail(Exit::Config, NAME, error.to_string(), "mend it")),
    };
    validities.into_iter().skip(skip).find_map(|validity| {
        let until = validity.until();
        match validity.at(now) {
            Standing::Good => None,
            Standing::EndsSoon => {
                Some(Check::warn(NAME, format!("an authority in {shown} is good until {until} only"), &advice))
            }
            Standing::NotYet => {
                let found = format!("an authority in {shown} is not good before {}", validity.from());
                Some(Check::warn(NAME, found, "look at the clock"))
            }
            Standing::Expired => {
                Some(Check::warn(NAME, format!("an authority in {shown} has expired at {until}"), &advice))
            }
        }
    })
}

/// The server's own.
fn own(config: &Config) -> Vec<Check> {
    match config.tls_files() {
        Some(files) => files_of(&files),
        None if config.insecure_plaintext => {
            let advice =
                "see that something in front of the server speaks TLS for it, or set tls_certificate and tls_key";
            vec![Check::warn(NAME, "off, and plain text is allowed beyond loopback", advice)]
        }
        None => vec![Check::ok(NAME, "off; plain text on loopback alone")],
    }
}

fn files_of(files: &TlsFiles) -> Vec<Check> {
    match tls::load(files) {
        Err(error) => {
            vec![Check::fail(Exit::Config, NAME, error.to_string(), "mend it; `roster cert dev` makes new files")]
        }
        Ok(loaded) => vec![certificate(&files.certificate, loaded.validity), key(&files.key)],
    }
}

fn certificate(path: &Path, validity: Validity) -> Check {
    const RENEW: &str = "renew it; a server that runs reads the new file by itself";
    let (shown, until) = (path.display(), validity.until());
    match validity.at(SystemTime::now()) {
        Standing::Good => Check::ok(NAME, format!("{shown} is good until {until}")),
        Standing::EndsSoon => Check::warn(NAME, format!("{shown} is good until {until} only"), RENEW),
        Standing::NotYet => {
            Check::warn(NAME, format!("{shown} is not good before {}", validity.from()), "look at the clock")
        }
        Standing::Expired => Check::fail(Exit::Config, NAME, format!("{shown} has expired at {until}"), RENEW),
    }
}

fn key(path: &Path) -> Check {
    let shown = path.display();
    let mode = fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 == 0 {
        return Check::ok(NAME, format!("{shown} can be read by its owner alone"));
    }
    Check::warn(NAME, format!("{shown} can be read by others than its owner"), format!("chmod 600 {shown}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::{super::check::State, *};

    fn authority(folder: &Path, name: &str, ends_in: i32) -> std::path::PathBuf {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.not_after = date_time_ymd(ends_in, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let path = folder.join(name);
        fs::write(&path, certificate.pem()).unwrap();
        path
    }

    #[test]
    fn authorities_that_have_ended_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (authority(folder.path(), "good.pem", 3000), authority(folder.path(), "bad.pem", 2001));
        assert_eq!(authorities(&good, "smtp_ca_file", 0), None);
        assert_eq!(authorities(&bad, "smtp_ca_file", 1), None, "the server's own is judged elsewhere");
        let both = folder.path().join("both.pem");
        fs::write(&both, [fs::read(&good).unwrap(), fs::read(&bad).unwrap()].concat()).unwrap();
        let check = authorities(&both, "tls_client_ca", 0).unwrap();
        assert!(check.state == State::Warn && check.found.contains("both.pem has expired at 2001-01-01"), "{check:?}");
        let config = Config { smtp_ca_file: Some(folder.path().join("none.pem")), ..Config::default() };
        assert_eq!(checks(&config).last().unwrap().state, State::Fail(Exit::Config));
    }
}
