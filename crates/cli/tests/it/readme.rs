//! What the README tells people to paste works when it is pasted.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::{
    process::{Ended, ROSTER, command, run},
    python::python,
    server::Server,
};

/// The shell commands of the README that come after `marker`.
fn block(marker: &str) -> String {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let after = readme.split_once(marker).unwrap().1;
    after.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}

/// Pastes a block into a shell in `folder`, where the build would have put the binary.
pub fn paste(block: &str, folder: &Path, server: &Server) -> Ended {
    fs::create_dir_all(folder.join("target/release")).unwrap();
    symlink(ROSTER, folder.join("target/release/roster")).unwrap();
    let mut shell = command("bash", folder);
    shell.args(["-euo", "pipefail", "-c", block]).env("ROSTER_SERVER", &server.grpc);
    run(&mut shell)
}

/// The block for a `folder` that has the protos, and in which the packages of Python that `install` fetches are there
/// already. All else stays as it is written.
pub fn installed(block: &str, install: &str, folder: &Path) -> String {
    let python = python();
    assert_eq!(block.matches(install).count(), 1, "{block}");
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto"), folder.join("proto")).unwrap();
    fs::create_dir_all(folder.join("venv/bin")).unwrap();
    fs::write(folder.join("venv/bin/python"), format!("#!/bin/sh\nexec '{python}' \"$@\"\n")).unwrap();
    block.replace(install, "chmod +x venv/bin/python\n")
}

#[test]
fn the_tour_runs_when_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    let tour = block("<!-- tour -->");
    let ended = paste(&tour, folder.path(), &server).with_code(0);
    for seen in ["ada@example.com", "Alan Turing", "Ada Lovelace", "37", "refused, exit code 73"] {
        assert!(ended.out.contains(seen), "{seen}: {ended:?}");
    }
    // Every line that is a command has been seen to run.
    assert!(tour.lines().filter(|line| line.starts_with("roster ")).count() >= 6);
}

#[test]
fn the_presence_runs_when_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    let ended = paste(&block("<!-- presence -->"), folder.path(), &server).with_code(0);
    for seen in ["ada/laptop  connected", "ada/laptop  disconnected"] {
        assert!(ended.out.contains(seen), "{seen}: {ended:?}");
    }
}

#[test]
fn the_accounts_run_when_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command(ROSTER, folder.path());
    let server = Server::start(serve.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "off"]));
    let block = format!("export HOME='{}'\n{}", folder.path().display(), block("<!-- accounts -->"));
    let ended = paste(&block, folder.path(), &server).with_code(0);
    for seen in
        ["root@example.com", "signed in to", "eve@example.com", "rk_", "this one", "api_key.created", "exit code 77"]
    {
        assert!(ended.out.contains(seen), "{seen}: {ended:?}");
    }
}

#[test]
fn the_python_client_runs_when_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    let install = "python3 -m venv venv && venv/bin/pip install grpcio-tools\n";
    let pasted = installed(&block("<!-- python -->"), install, folder.path());
    let pasted = pasted.replace("localhost:50051", &server.grpc);
    let ended = paste(&pasted, folder.path(), &server).with_code(0);
    assert!(ended.out.contains("created "), "{ended:?}");
    assert!(ended.out.contains("grace@example.com Grace"), "{ended:?}");
}
