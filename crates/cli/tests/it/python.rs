//! Clients in Python: generated from the seed's own proto, from ours, and by reflection.
//!
//! They need the packages of `scripts/requirements.txt`, which `scripts/test` installs; `ROSTER_TEST_PYTHON` names the
//! Python that has them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    process::{Ended, ROSTER, command, run},
    server::Server,
    tls,
};

/// Where the seed's example calls, in its own words.
const SEED_ADDRESS: &str = "localhost:50051";

/// The Python that has the packages.
pub fn python() -> String {
    std::env::var("ROSTER_TEST_PYTHON").unwrap_or_else(|_| {
        panic!(
            "run scripts/test, which sets this up, or set ROSTER_TEST_PYTHON to a Python that has \
             scripts/requirements.txt installed"
        )
    })
}

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).canonicalize().unwrap()
}

/// Generates stubs into `folder`, which is then to be Python's path.
fn protoc(folder: &Path, args: &[&str]) {
    let mut protoc = command(&python(), folder);
    protoc.args(["-m", "grpc_tools.protoc", "--python_out=.", "--grpc_python_out=."]).args(args);
    run(&mut protoc).with_code(0);
}

/// Runs a script of ours against `server`; it prints `ok` at its end.
fn check(folder: &Path, script: &str, server: &Server) {
    let script = repository("crates/cli/tests/python").join(script);
    let ended = run(command(&python(), folder).env("PYTHONPATH", folder).arg(script).arg(&server.grpc)).with_code(0);
    assert_eq!(ended.out, "ok\n", "{ended:?}");
}

/// The seed's project, as its page lays it out: the proto, and the stubs in `app/protos/user_v1`.
fn seed_project() -> TempDir {
    let project = tempfile::tempdir().unwrap();
    let folder = project.path();
    fs::create_dir_all(folder.join("protos/user/v1")).unwrap();
    fs::create_dir_all(folder.join("app/protos/user_v1")).unwrap();
    let proto = repository("crates/api/tests/seeds/003_user_service.proto");
    fs::copy(proto, folder.join("protos/user/v1/user_service.proto")).unwrap();
    // Generated code imports itself by the path of its proto.
    protoc(folder, &["-Iapp/protos/user_v1=protos/user/v1", "protos/user/v1/user_service.proto"]);
    project
}

/// A server where the seed's example calls, or elsewhere if something listens there already.
fn server_for_the_example(folder: &Path) -> Server {
    let serve = |port: &str| -> Command {
        let mut serve = command(ROSTER, folder);
        serve.args(["serve", "--dev", "--http-addr", "off", "--port", port]);
        serve
    };
    Server::try_start(&mut serve("50051")).unwrap_or_else(|ended| {
        ended.refused(69, &["in use"]);
        Server::start(&mut serve("0"))
    })
}

/// A seed's example, byte for byte but for the address if that must be another.
fn example_for(server: &Server, example: &str) -> String {
    let example = fs::read_to_string(repository("crates/cli/tests/python").join(example)).unwrap();
    if server.grpc == "127.0.0.1:50051" {
        return example;
    }
    eprintln!("port 50051 is in use: the example calls {} and is otherwise unchanged", server.grpc);
    assert_eq!(example.matches(SEED_ADDRESS).count(), 1);
    example.replace(SEED_ADDRESS, &server.grpc)
}

#[test]
fn the_seeds_example_runs_unchanged_and_its_errors_are_as_it_says() {
    let project = seed_project();
    let folder = tempfile::tempdir().unwrap();
    let server = server_for_the_example(folder.path());
    fs::write(project.path().join("client_example.py"), example_for(&server, "client_example.py")).unwrap();

    let example = || run(command(&python(), project.path()).arg("client_example.py"));
    let Ended { out, .. } = example().with_code(0);
    let lines: Vec<&str> = out.lines().collect();
    let [created, got, listed] = lines[..] else { panic!("{out}") };
    assert!(created.strip_prefix("Created: ").is_some_and(|id| id.len() == 36), "{out}");
    assert_eq!((got, listed), ("Got: Test User", "Listed: test@example.com"));
    // Its address is taken now.
    let again = example().with_code(1);
    assert!(again.err.contains("StatusCode.ALREADY_EXISTS"), "{again:?}");

    check(project.path(), "seed_errors.py", &server);
    server.stop();
}

#[test]
fn the_older_notification_client_runs_unchanged() {
    // As its page lays it out: the proto, and the stubs beside the client.
    let project = tempfile::tempdir().unwrap();
    let folder = project.path();
    fs::create_dir(folder.join("proto")).unwrap();
    let proto = repository("crates/api/tests/seeds/004_notification.proto");
    fs::copy(proto, folder.join("proto/notification_service.proto")).unwrap();
    protoc(folder, &["-I./proto", "./proto/notification_service.proto"]);
    let client = repository("crates/cli/tests/python/notification/client.py");
    fs::copy(client, folder.join("client.py")).unwrap();

    let data = tempfile::tempdir().unwrap();
    let server = server_for_the_example(data.path());
    fs::write(folder.join("example.py"), example_for(&server, "notification/example.py")).unwrap();
    let Ended { out, .. } = run(command(&python(), folder).arg("example.py")).with_code(0);
    let expected = [
        "Hello sent: True",
        "Status: {'user_123': 'connected'}",
        "Goodbye sent: True",
        "Final status: {'user_123': 'disconnected'}",
    ];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    check(folder, "notification/scenarios.py", &server);
    server.stop();
}

#[test]
fn a_client_of_the_older_proto_makes_all_four_kinds_of_call() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(repository("crates/api/tests/seeds/002_user.proto"), folder.path().join("user.proto")).unwrap();
    protoc(folder.path(), &["-I.", "user.proto"]);
    check(folder.path(), "seed_streams.py", &Server::in_memory());
}

/// Stubs of all our protos, in `folder`.
fn own_stubs(folder: &Path) {
    let protos = repository("proto");
    let mut args = vec![format!("-I{}", protos.display())];
    for package in ["user/v1", "auth/v1", "notification/v1", "roster/options/v1", "compat"] {
        let mut files: Vec<_> =
            fs::read_dir(protos.join(package)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        args.extend(files.into_iter().map(|file| file.display().to_string()));
    }
    protoc(folder, &args.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn stubs_of_our_protos_call_every_method_that_is_served() {
    let folder = tempfile::tempdir().unwrap();
    own_stubs(folder.path());
    check(folder.path(), "own_protos.py", &Server::in_memory());
}

#[test]
fn grpcs_own_core_speaks_tls_and_shows_certificates() {
    let folder = tls::certificates();
    own_stubs(folder.path());
    fs::write(folder.path().join("roster.toml"), "service_permissions = ['dev-client: users.read']").unwrap();
    let clients = ["--tls-client-ca", "certs/ca.pem", "--client-certificates", "optional"];
    check(folder.path(), "tls.py", &Server::start(tls::serve_tls(folder.path()).args(clients)));
}

#[test]
fn a_client_without_stubs_learns_all_by_reflection() {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path(), "reflection.py", &Server::in_memory());
}
