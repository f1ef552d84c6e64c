//! Who the user of this machine is signed in as, by server: a file in their configuration folder that only they can
//! read.

use std::{
    collections::BTreeMap,
    env, fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use roster_api::auth::v1::Tokens;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{
    error::{CliError, Failure},
    exit::Exit,
};

/// A session on one server. Prints without its tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Who is signed in.
    pub user_id: String,
    /// The session.
    pub session_id: String,
    access_token: String,
    /// Seconds since the epoch.
    access_token_ends: i64,
    refresh_token: String,
}

impl Credentials {
    /// What a sign-in or a refresh gave.
    pub fn new(user_id: String, session_id: String, tokens: Tokens) -> Self {
        Self {
            user_id,
            session_id,
            access_token: tokens.access_token,
            access_token_ends: tokens.access_token_expires_at.map_or(0, |at| at.seconds),
            refresh_token: tokens.refresh_token,
        }
    }

    /// The token for a call at `now`, in seconds since the epoch; `None` if it ends within `margin` seconds.
    pub fn access_token(&self, now: i64, margin: i64) -> Option<&str> {
        (self.access_token_ends > now + margin).then_some(self.access_token.as_str())
    }

    /// What the next access token is bought with.
    pub fn refresh_token(&self) -> &str {
        &self.refresh_token
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// The file, held by this process alone: a refresh token that two processes used would end the session.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    by_server: BTreeMap<String, Credentials>,
    /// Given back when this is dropped.
    _lock: File,
}

impl Store {
    /// Whether there is anything to look into.
    pub fn exists() -> bool {
        folder().is_some_and(|folder| file_in(&folder).exists())
    }

    /// Opens the file of this user, waiting for whoever has it; an absent one is empty.
    pub fn open() -> Result<Self, Failure> {
        let folder = folder().ok_or_else(|| {
            CliError::new(Exit::Config, "there is no folder for credentials")
                .hint("set HOME or XDG_CONFIG_HOME, or pass a token in ROSTER_TOKEN")
        })?;
        Self::open_in(&folder)
    }

    fn open_in(folder: &Path) -> Result<Self, Failure> {
        let path = file_in(folder);
        let failed = |error: io::Error| {
            CliError::new(Exit::Io, format!("cannot use {}: {error}", path.display()))
                .hint("let your user read and write it, or delete it and sign in again")
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join("credentials.lock"));
        let lock = lock.map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        check_mode(&path)?;
        let by_server = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(error.into()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(failed(error).into()),
        };
        Ok(Self { path, by_server, _lock: lock })
    }

    /// The session on this server.
    pub fn find(&self, server: &str) -> Option<&Credentials> {
        self.by_server.get(server)
    }

    /// Keeps a session, in place of the one there was.
    pub fn put(&mut self, server: &str, credentials: Credentials) -> Result<(), Failure> {
        self.by_server.insert(server.to_owned(), credentials);
        self.save()
    }

    /// Forgets the session on this server.
    pub fn forget(&mut self, server: &str) -> Result<Option<Credentials>, Failure> {
        let forgotten = self.by_server.remove(server);
        self.save()?;
        Ok(forgotten)
    }

    /// Writes a new file beside the old one and puts it in its place, so that a crash leaves one of the two.
    fn save(&self) -> Result<(), Failure> {
        let write = || {
            let new = self.path.with_extension("new");
            // One that a crash left behind may have had another mode.
            let _ = fs::remove_file(&new);
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(&self.by_server)?)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error: io::Error| {
            CliError::new(Exit::Io, format!("cannot write {}: {error}", self.path.display()))
                .hint("make room there, and let your user write it")
                .into()
        })
    }
}

/// Refuses a file that others can read: what is in it may be theirs by now.
fn check_mode(path: &Path) -> Result<(), Failure> {
    // One that is not there or cannot be looked at is found so when it is read.
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("{} holds tokens, and others can read or write it (mode {mode:03o})", path.display());
    let hint = format!("`chmod 600 {}`, then `roster session revoke` what others may have used", path.display());
    Err(CliError::new(Exit::Config, message).hint(hint).into())
}

/// `$XDG_CONFIG_HOME/roster`, or `~/.config/roster`
/// ([base directories](https://specifications.freedesktop.org/basedir-spec/latest/)).
fn folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join("roster"))
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("credentials.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        let tokens = Tokens {
            access_token: "access".into(),
            access_token_expires_at: Some(prost_types::Timestamp { seconds: 1_000, nanos: 0 }),
            refresh_token: "refresh".into(),
            refresh_token_expires_at: None,
        };
        Credentials::new("ada".into(), "session".into(), tokens)
    }

    #[test]
    fn what_is_kept_is_found_again_and_only_the_owner_can_read_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("roster");
        let mut store = Store::open_in(&folder).unwrap();
        store.put("http://a", credentials()).unwrap();
        store.put("http://b", credentials()).unwrap();
        drop(store);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&file_in(&folder))), (0o700, 0o600));
        let mut store = Store::open_in(&folder).unwrap();
        assert_eq!(store.forget("http://a").unwrap(), Some(credentials()));
        drop(store);
        let store = Store::open_in(&folder).unwrap();
        assert_eq!((store.find("http://a"), store.find("http://b")), (None, Some(&credentials())));
    }

    #[test]
    fn a_token_about_to_end_is_not_used_and_none_is_printed() {
        let credentials = credentials();
        assert_eq!(credentials.access_token(900, 30), Some("access"));
        assert_eq!(credentials.access_token(980, 30), None);
        let printed = format!("{credentials:?}");
        assert!(printed.contains("ada") && !printed.contains("access") && !printed.contains("refresh"), "{printed}");
    }

    #[test]
    fn a_broken_file_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::write(file_in(home.path()), "{").unwrap();
        fs::set_permissions(file_in(home.path()), fs::Permissions::from_mode(0o600)).unwrap();
        let Err(Failure::Error(error)) = Store::open_in(home.path()) else { panic!("opened") };
        assert!(error.exit == Exit::Io && error.message.contains("credentials.json"), "{error:?}");
    }
}
