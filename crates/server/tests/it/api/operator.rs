//! The operator's socket, and who is let in there.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    process::{Uid, geteuid},
    thread::set_thread_res_uid,
};

use crate::harness::Server;

/// The mode of the file keeps others out, and what the kernel says of who connects does so too.
#[test]
fn another_user_of_the_machine_is_no_operator_even_if_the_file_lets_everybody_in() {
    let server = Server::start(|config| config.dev = false);
    let socket = server.folder().join("roster.db.sock");
    open_to_all(server.folder(), 0o755);
    open_to_all(&socket, 0o666);
    let mut own = UnixStream::connect(&socket).unwrap();
    assert!(greets(&mut own), "the server's own user is let in");
    // Only root can play another user; `scripts/test` says so to everybody else.
    if geteuid().is_root() {
        assert!(!greets(&mut connect_as_another(socket)), "another user was let in");
    }
    // The server goes on with its own.
    assert!(greets(&mut UnixStream::connect(server.folder().join("roster.db.sock")).unwrap()));
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Whether the other end speaks HTTP/2 with us, rather than hang up.
fn greets(stream: &mut UnixStream) -> bool {
    // Fails if it has hung up already.
    let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).is_ok()
}

/// A connection that another user than the server's has made.
fn connect_as_another(socket: PathBuf) -> UnixStream {
    let nobody = Uid::from_raw(65_534);
    // Linux keeps these for each thread, and this one ends here.
    let connect = move || {
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        UnixStream::connect(socket).unwrap()
    };
    thread::spawn(connect).join().unwrap()
}
