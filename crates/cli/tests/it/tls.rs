//! TLS as people set it up: certificates from `roster cert dev`, a server with them, and callers; and the operator's
//! socket.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use roster_api::{Client, user::v1::HealthCheckRequest};
use tempfile::TempDir;

use crate::{
    process::{Ended, ROSTER, command, run},
    server::{Server, serve},
};

const USAGE: i32 = 64;
const DATA: i32 = 65;
const UNAVAILABLE: i32 = 69;
const REFUSED: i32 = 77;

/// A folder with the certificates of `roster cert dev` in `certs`.
pub fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    cert_dev(folder.path(), &[]).with_code(0);
    folder
}

fn cert_dev(folder: &Path, args: &[&str]) -> Ended {
    run(command(ROSTER, folder).args(["cert", "dev"]).args(args))
}

/// `roster serve --dev` with the certificates in a folder.
pub fn serve_tls(folder: &Path) -> Command {
    let mut serve = serve(folder);
    serve.args(["--tls-certificate", "certs/server.pem", "--tls-key", "certs/server-key.pem"]);
    serve
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join("certs").join(name)).unwrap()
}

/// `roster user list` by TLS, with these arguments more.
fn list(server: &Server, folder: &Path, args: &[&str]) -> Ended {
    let url = format!("https://{}", server.grpc);
    run(command(ROSTER, folder).args(["user", "list", "--server", &url]).args(args))
}

async fn connect(server: &Server, ca: &[u8]) -> Result<Client, String> {
    let builder = Client::builder().endpoint(format!("https://{}", server.grpc)).ca(ca);
    builder.connect().await.map_err(|error| error.to_string())
}

async fn is_well(client: &Client) -> bool {
    client.users().health_check(HealthCheckRequest {}).await.is_ok()
}

#[test]
fn certificates_are_made_for_a_server_and_a_client_and_a_ca_stays() {
    let folder = certificates();
    let mode = |name: &str| fs::metadata(folder.path().join("certs").join(name)).unwrap().permissions().mode() & 0o777;
    for what in ["ca", "server", "client"] {
        assert_eq!((mode(&format!("{what}-key.pem")), mode(&format!("{what}.pem"))), (0o600, 0o644), "{what}");
    }
    let before = ["ca.pem", "ca-key.pem", "server.pem"].map(|name| read(folder.path(), name));
    let again = cert_dev(folder.path(), &["--host", "roster.test", "--host", "10.0.0.1"]).with_code(0);
    for expected in ["--tls-certificate certs/server.pem", "--ca-cert certs/ca.pem", "grpcurl", "python"] {
        assert!(again.out.contains(expected), "{again:?}");
    }
    let after = ["ca.pem", "ca-key.pem", "server.pem"].map(|name| read(folder.path(), name));
    assert!(before[..2] == after[..2] && before[2] != after[2]);
    cert_dev(folder.path(), &["--host", "not a name\u{fc}"]).refused(USAGE, &["--host"]);

    fs::write(folder.path().join("certs/ca-key.pem"), "mine").unwrap();
    cert_dev(folder.path(), &[]).refused(DATA, &["certs/ca-key.pem", "--force"]);
    assert_eq!(read(folder.path(), "ca-key.pem"), b"mine");
    cert_dev(folder.path(), &["--force"]).with_code(0);
    assert_ne!(read(folder.path(), "ca.pem"), before[0]);
}

#[test]
fn callers_show_and_check_certificates() {
    let folder = certificates();
    fs::write(folder.path().join("roster.toml"), "service_permissions = ['dev-client: users.list']").unwrap();
    let clients = ["--tls-client-ca", "certs/ca.pem", "--client-certificates"];
    let server = Server::start(serve_tls(folder.path()).args(clients).arg("required"));
    let ca = ["--ca-cert", "certs/ca.pem"];
    let identity = ["--client-cert", "certs/client.pem", "--client-key", "certs/client-key.pem"];
    let list = |args: &[&str]| list(&server, folder.path(), args);
    assert_eq!(list(&[&ca[..], &identity].concat()).with_code(0).out, "no users\n");
    // With TLS 1.3 the refusal comes when the client has begun to call already.
    list(&ca).with_code(UNAVAILABLE);
    list(&identity).refused(UNAVAILABLE, &["UnknownIssuer", "--ca-cert"]);
    list(&[&ca[..], &identity[..2]].concat()).refused(USAGE, &["--client-key", "go together"]);
    list(&["--ca-cert", "certs/none.pem"]).refused(USAGE, &["certs/none.pem (--ca-cert)", "No such file"]);
    list(&[&ca[..], &identity, &["--server-name", "roster.test"]].concat())
        .refused(UNAVAILABLE, &["roster.test", "--server-name"]);
    // What the service may not do.
    let mut delete = command(ROSTER, folder.path());
    delete.args(["user", "delete", "ada", "--yes", "--server", &format!("https://{}", server.grpc)]);
    run(delete.args(ca).args(identity)).with_code(REFUSED);
    // By variables too.
    let mut by_env = command(ROSTER, folder.path());
    by_env.args(["user", "list"]).env("ROSTER_SERVER", format!("https://{}", server.grpc));
    by_env.env("ROSTER_CA_CERT", "certs/ca.pem");
    by_env.env("ROSTER_CLIENT_CERT", "certs/client.pem").env("ROSTER_CLIENT_KEY", "certs/client-key.pem");
    run(&mut by_env).with_code(0);
    // An empty variable counts as not set.
    let mut unset = command(ROSTER, folder.path());
    unset.args(["user", "list", "--server", "127.0.0.1:1"]);
    for name in ["ROSTER_CA_CERT", "ROSTER_CLIENT_CERT", "ROSTER_CLIENT_KEY", "ROSTER_SERVER_NAME"] {
        unset.env(name, "");
    }
    run(&mut unset).refused(UNAVAILABLE, &["127.0.0.1:1"]);
    // Plain text does not get in, and is told why.
    let plain = run(command(ROSTER, folder.path()).args(["user", "list", "--server", &server.grpc]));
    plain.refused(UNAVAILABLE, &["speaks TLS", "https://", "--ca-cert"]);
    server.stop();
}

#[tokio::test]
async fn new_certificates_are_taken_while_connections_live_and_bad_ones_are_not() {
    let folder = certificates();
    let mut server = Server::start(&mut serve_tls(folder.path()));
    let old_ca = read(folder.path(), "ca.pem");
    let lasting = connect(&server, &old_ca).await.unwrap();
    assert!(is_well(&lasting).await);

    cert_dev(folder.path(), &["--force"]).with_code(0);
    let event = server.await_message("certificates reloaded").unwrap();
    assert!(event["file"].as_str().unwrap().ends_with("certs/server.pem") && event["until"].is_string(), "{event}");
    let new_ca = read(folder.path(), "ca.pem");
    assert!(connect(&server, &old_ca).await.is_err());
    assert!(is_well(&connect(&server, &new_ca).await.unwrap()).await);
    assert!(is_well(&lasting).await, "the connection from before");

    fs::write(folder.path().join("certs/server-key.pem"), "-----BEGIN PRIVATE KEY-----\ns3cret").unwrap();
    let event = server.await_message("certificates not reloaded").unwrap();
    let error = event["error"].as_str().unwrap();
    assert!(
        event["level"] == "ERROR" && error.contains("certs/server-key.pem") && !error.contains("s3cret"),
        "{event}"
    );
    assert!(is_well(&connect(&server, &new_ca).await.unwrap()).await);
    drop(lasting);
    let ended = server.stop();
    assert!(!ended.err.contains("s3cret"));
}

#[test]
fn the_doctor_looks_at_certificates() {
    let folder = certificates();
    let doctor = || {
        let flags = ["--tls-certificate", "certs/server.pem", "--tls-key", "certs/server-key.pem"];
        let ports = ["--dev", "--port", "0", "--http-addr", "off", "--output", "json"];
        let ended = run(command(ROSTER, folder.path()).arg("doctor").args(flags).args(ports));
        let checks: Vec<_> = ended.json().into_iter().filter(|check| check["check"] == "TLS").collect();
        (ended.code, checks)
    };
    let (code, checks) = doctor();
    assert!(code == Some(0) && checks.iter().all(|check| check["state"] == "ok"), "{checks:?}");
    assert!(checks[0]["found"].as_str().unwrap().contains("certs/server.pem is good until 2"), "{checks:?}");
    let key = folder.path().join("certs/server-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(doctor().1[1]["state"], "warn");
    fs::copy(folder.path().join("certs/client-key.pem"), &key).unwrap();
    let (code, checks) = doctor();
    assert!(code == Some(78) && checks[0]["found"].as_str().unwrap().contains("does not match"), "{checks:?}");
}

#[test]
fn the_operators_socket_outlives_a_kill_and_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let socket: PathBuf = folder.path().join("roster.db.sock");
    let server = Server::on_file(folder.path());
    let url = format!("unix:{}", socket.display());
    let list = || run(command(ROSTER, folder.path()).args(["user", "list", "--server", &url]));
    assert_eq!(list().with_code(0).out, "no users\n");
    // Another database, the same socket.
    let other = tempfile::tempdir().unwrap();
    let at = ["--operator-socket", socket.to_str().unwrap()];
    run(serve(other.path()).args(at)).refused(UNAVAILABLE, &["roster.db.sock", "another process", "operator_socket"]);

    server.kill();
    assert!(socket.exists());
    list().refused(UNAVAILABLE, &["roster.db.sock", "refused"]);
    let server = Server::on_file(folder.path());
    list().with_code(0);
    server.stop();
    assert!(!socket.exists());

    fs::write(&socket, "mine").unwrap();
    run(serve(other.path()).args(at)).refused(UNAVAILABLE, &["roster.db.sock", "something else"]);
    assert_eq!(fs::read_to_string(&socket).unwrap(), "mine");
}
