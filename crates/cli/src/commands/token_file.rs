//! The file in which a watch keeps its place: one process at a time has it, and a kill at any moment leaves a whole token.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::{
    error::{CliError, Failure},
    exit::Exit,
};

/// Characters that a token has at most.
const TOKEN_MAX_CHARS: usize = 512;

/// Where the token of the latest event is kept, as long as nobody else keeps theirs there.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    /// The lock is on a file beside it, since another takes its place with each event. The kernel frees it when the process
    /// ends, however it ends.
    _lock: File,
}

impl TokenFile {
    /// Takes it for this process, whether it is there or not.
    pub fn take(path: &Path) -> Result<Self, Failure> {
        let lock = beside(path, ".watch-lock");
        let failed = |error: io::Error| CliError::new(Exit::Io, format!("cannot lock {}: {error}", lock.display()));
        // What is in it does not matter, and it stays: who removed it could take it from who has just opened it.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is in use: another process keeps its token there", path.display());
                Err(CliError::new(Exit::TryAgain, message).hint("stop that watch, or name another --token-file").into())
            }
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }

    /// The token in the file; `None` if there is no file.
    pub fn read(&self) -> Result<Option<String>, Failure> {
        let file = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            // No text at all; an empty one is refused below.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CliError::new(Exit::Io, format!("cannot read {file}: {error}")).into()),
        };
        let token = text.trim();
        if token.is_empty() || token.len() > TOKEN_MAX_CHARS || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CliError::new(Exit::Data, format!("{file} holds no token of a watch"))
                .hint("name another --token-file, or remove it to start anew")
                .into());
        }
        Ok(Some(token.to_owned()))
    }

    /// Puts the token into the file: the old one or the new one is there at any moment.
    pub fn keep(&self, token: &str) -> Result<(), Failure> {
        let new = beside(&self.path, ".new");
        let kept = fs::write(&new, format!("{token}\n")).and_then(|()| fs::rename(&new, &self.path));
        let failed = |error| CliError::new(Exit::Io, format!("cannot write {}: {error}", self.path.display()));
        Ok(kept.map_err(failed)?)
    }
}

/// The file next to `path` whose name has `suffix` at its end.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
