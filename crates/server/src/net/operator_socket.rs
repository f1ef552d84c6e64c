//! The socket file on which this machine's operator calls: made for its owner alone, and taken away at the end.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, fchmod},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// Why there is no socket. The text says what is in the way.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers on it.
    #[error("another process listens there")]
    InUse,
    /// Something else has its name.
    #[error("there is something else of this name")]
    NoSocket,
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The file of a socket that this process listens on. Dropping it takes the file away, unless it is another's by now.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// While a socket is bound to it, no other file gets its inode.
    _bound: UnixListener,
}

/// Listens at `path`, in the place of a socket that nobody listens on any more.
///
/// # Errors
/// What is in the way.
pub fn open(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    remove_stale(path)?;
    Ok(listen_privately(path)?)
}

fn listen_privately(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Linux makes the file with the mode that the socket has, so there is no moment when others could open it;
    // and nobody can connect before `listen`.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let meta = fs::symlink_metadata(path)?;
    listen(&socket, BACKLOG)?;
    let listener = UnixListener::from(socket);
    let identity = (meta.dev(), meta.ino());
    let file = SocketFile { path: path.to_owned(), identity, _bound: listener.try_clone()? };
    Ok((listener, file))
}

/// Takes away what a server left behind that was killed.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(meta) if !meta.file_type().is_socket() => return Err(SocketError::NoSocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        Err(error) => Err(error.into()),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity) {
            // If it fails, the next start does it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_private_and_goes_with_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        // As after a kill: the file is there, and nobody listens.
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, file) = open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(open(&path), Err(SocketError::InUse)));
        fs::remove_file(&path).unwrap();
        let (_successor, successors) = open(&path).unwrap();
        drop(file);
        assert!(UnixStream::connect(&path).is_ok(), "its successor's file was removed");
        drop(successors);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(open(&path), Err(SocketError::NoSocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert!(matches!(open(&folder.path().join("x".repeat(200))), Err(SocketError::Io(_))));
    }
}
