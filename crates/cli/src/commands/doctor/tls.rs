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
