//! The certificates of a running server, read again when their files change.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{LoadError, Loaded, TlsFiles, expiry::Standing, load};
use crate::net::Acceptor;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: file system, inode, size, and the times of its content and its name.
/// `None` if it cannot be looked at.
type Mark = Option<[i64; 7]>;

/// The files of a server, and the acceptors that go by them.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    loaded: Vec<Mark>,
    /// For gRPC.
    pub grpc: Acceptor,
    /// For HTTP.
    pub http: Acceptor,
    /// When the certificate in use ends, in seconds since the epoch.
    pub expires: Arc<AtomicI64>,
}

impl Certificates {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// A file that is of no use.
    pub fn open(files: TlsFiles) -> Result<Self, LoadError> {
        // Marked before they are read: what changes in between is read again.
        let loaded = marks(&files);
        let Loaded { grpc, http, validity } = load(&files)?;
        announce("certificates loaded", &files, validity);
        let expires = Arc::new(AtomicI64::new(validity.until_seconds()));
        Ok(Self { files, loaded, grpc: Acceptor::new(grpc), http: Acceptor::new(http), expires })
    }

    /// Reads the files whenever they have changed, for ever. What is of no use is told, and what was read before
    /// stays in force.
    pub async fn watch(mut self) {
        let mut seen = self.loaded.clone();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = marks(&self.files);
            // Files are replaced one after the other: only what has come to rest is read.
            if now == seen && now != self.loaded {
                self.reload();
                self.loaded.clone_from(&now);
            }
            seen = now;
        }
    }

    fn reload(&self) {
        match load(&self.files) {
            Ok(Loaded { grpc, http, validity }) => {
                self.grpc.replace(grpc);
                self.http.replace(http);
                self.expires.store(validity.until_seconds(), Ordering::Relaxed);
                announce("certificates reloaded", &self.files, validity);
            }
            Err(error) => tracing::error!(%error, "certificates not reloaded: those that were read before stay"),
        }
    }
}

/// Says until when the server's certificate is good.
fn announce(what: &str, files: &TlsFiles, validity: super::Validity) {
    let (file, from, until) = (files.certificate.display(), validity.from(), validity.until());
    match validity.at(SystemTime::now()) {
        Standing::Good => tracing::info!(%file, until, "{what}"),
        Standing::EndsSoon => tracing::warn!(%file, until, "{what}; the server's certificate ends soon: renew it"),
        Standing::NotYet => tracing::error!(%file, from, "{what}; the time of the server's certificate has not come"),
        Standing::Expired => tracing::error!(%file, until, "{what}; the server's certificate has expired: renew it"),
    }
}

fn marks(files: &TlsFiles) -> Vec<Mark> {
    let clients = files.clients.iter().map(|clients| clients.ca.as_path());
    [files.certificate.as_path(), files.key.as_path()].into_iter().chain(clients).map(mark).collect()
}

fn mark(path: &Path) -> Mark {
    let meta = fs::metadata(path).ok()?;
    let (device, inode, size) = (meta.dev().cast_signed(), meta.ino().cast_signed(), meta.size().cast_signed());
    Some([device, inode, size, meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()])
}
