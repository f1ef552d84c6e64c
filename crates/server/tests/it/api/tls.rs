//! TLS: what is spoken, who gets in by which certificate, and what happens to who speaks something else.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use roster_api::{
    Client,
    auth::v1::SignInRequest,
    user::v1::{CreateUserRequest, GetUserByEmailRequest, GetUserRequest, ListUsersRequest, UpdateUserRequest},
};
use roster_server::{
    model::{Permission, PermissionSet},
    store::{FeedStore as _, Store as _},
    tls::ClientCertificates,
};
use rustls::{
    ClientConfig, ProtocolVersion,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::Code;

use crate::{
    harness::{Server, Wire, problem, signed_in, store_in, with_email},
    pki::{Pair, Pki, Says, client},
};

const SHORT: Duration = Duration::from_millis(50);
const HEALTH: &str = "/user.v1.UserService/HealthCheck";

async fn shake(addr: SocketAddr, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    TlsConnector::from(config).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

/// How the server ends a connection with this certificate: with TLS 1.3 a client hears of it after its handshake.
async fn refusal(server: &Server, config: Arc<ClientConfig>) -> String {
    let ended = async { shake(server.addr(), config).await?.read_u8().await };
    ended.await.unwrap_err().to_string()
}

async fn text_from(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut text = Vec::new();
    // Some servers end TLS without a word; ours must not, or this is an error.
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn both_versions_of_tls_serve_both_versions_of_http_on_both_ports() {
    let pki = Pki::new();
    let server = Server::start(|config| pki.serve(config));
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let stream = shake(server.addr(), pki.trusting(&[version], &["h2", "http/1.1"], None)).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!((session.protocol_version(), session.alpn_protocol()), (Some(expected), Some(&b"h2"[..])));
        assert_eq!(Wire::over(stream).await.call(HEALTH, &[]).await.status().code(), Code::Ok);

        let http1 = pki.trusting(&[version], &["http/1.1"], None);
        let get = b"GET /livez HTTP/1.1\r\nhost: roster\r\nconnection: close\r\n\r\n";
        let answer = text_from(shake(server.http_addr(), Arc::clone(&http1)).await.unwrap(), get).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok\n"), "{answer}");
        let metrics = b"GET /metrics HTTP/1.1\r\nhost: roster\r\nconnection: close\r\n\r\n";
        let page = text_from(shake(server.http_addr(), Arc::clone(&http1)).await.unwrap(), metrics).await;
        let expires = page.lines().find_map(|line| line.strip_prefix("roster_certificate_expires_timestamp_seconds "));
        // In the year 4000.
        assert!(expires.unwrap().parse::<u64>().unwrap() > 64_000_000_000, "{expires:?}");
        let answer = text_from(shake(server.addr(), http1).await.unwrap(), get).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    // A protocol that nobody speaks here is refused in the handshake, and not misunderstood after it.
    let error = shake(server.addr(), pki.trusting(&[&TLS13], &["spdy/3"], None)).await.unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn plain_text_is_told_to_speak_tls() {
    let pki = Pki::new();
    let server = Server::start(|config| pki.serve(config));
    let plain = TcpStream::connect(server.addr()).await.unwrap();
    let answer = text_from(plain, b"GET / HTTP/1.1\r\nhost: roster\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\nthis port speaks TLS: use https://...\n"));

    let plain = TcpStream::connect(server.addr()).await.unwrap();
    let (client, connection) = h2::client::handshake(plain).await.unwrap();
    let error = connection.await.unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::INADEQUATE_SECURITY), "{error}");
    assert!(error.is_remote() && error.to_string().contains("this port speaks TLS: use https"), "{error}");
    drop(client);
}

#[tokio::test]
async fn hellos_that_are_none_end_and_hurt_nobody() {
    let pki = Pki::new();
    let server = Server::start(|config| {
        pki.serve(config);
        config.workers = 1;
        config.preface_timeout = SHORT;
    });
    let record = |length: u16, bytes: &[u8]| [&[22, 3, 1], &length.to_be_bytes()[..], bytes].concat();
    let hellos = [
        Vec::new(),
        vec![22],
        vec![22; 300],
        record(4, &[1, 0, 0, 0]),
        record(200, &[1, 0, 0, 196, 3, 3]),
        record(u16::MAX, &[0xff; 2000]),
        vec![0; 100],
        b"PRI * HTTP/2.0\r\n".to_vec(),
    ];
    let mut sockets = Vec::new();
    for hello in hellos.iter().cycle().take(80) {
        let mut socket = TcpStream::connect(server.addr()).await.unwrap();
        socket.write_all(hello).await.unwrap();
        sockets.push(socket);
    }
    let stream = shake(server.addr(), pki.trusting(&[&TLS13], &["h2"], None)).await.unwrap();
    assert_eq!(Wire::over(stream).await.call(HEALTH, &[]).await.status().code(), Code::Ok);
    for mut socket in sockets {
        // Closed by an alert, an answer or a reset: not left open.
        let _ = socket.read_to_end(&mut Vec::new()).await;
    }
}

/// A server without `--dev` that knows the clients of `pki`.
fn knowing(pki: &Pki, clients: ClientCertificates) -> Server {
    Server::start(|config| {
        pki.serve(config);
        config.dev = false;
        config.tls_client_ca = Some(pki.file("ca.pem", &pki.ca));
        config.client_certificates = clients;
        let list = PermissionSet::of(&[Permission::UsersList]);
        config.service_permissions = [("spiffe://example.org/lister".to_owned(), list)].into();
    })
}

async fn client_with(pki: &Pki, server: &Server, identity: Option<&Pair>) -> Client {
    let mut builder = Client::builder().endpoint(format!("https://{}", server.addr())).ca(pki.ca.as_str());
    if let Some(Pair { certificate, key }) = identity {
        builder = builder.identity(certificate.as_str(), key.as_str());
    }
    builder.connect().await.unwrap()
}

fn lister(pki: &Pki) -> Pair {
    let uri = SanType::URI("spiffe://example.org/lister".try_into().unwrap());
    let dns = SanType::DnsName("other.example.org".try_into().unwrap());
    pki.sign(Says { names: vec![dns, uri], ..client("other") })
}

#[tokio::test]
async fn a_service_may_do_what_its_certificates_name_may() {
    let pki = Pki::new();
    let server = knowing(&pki, ClientCertificates::Optional);
    let mut lister = client_with(&pki, &server, Some(&lister(&pki))).await.users();
    lister.list_users(ListUsersRequest::default()).await.unwrap();
    let by_email = || GetUserByEmailRequest { email: "ada@example.com".into() };
    assert_eq!(
        problem(lister.get_user_by_email(by_email()).await).kind(),
        (Code::PermissionDenied, "PERMISSION_DENIED")
    );

    // A name that no setting has may nothing; without a certificate one is nobody.
    let mut unnamed = client_with(&pki, &server, Some(&pki.sign(client("unnamed")))).await.users();
    assert_eq!(problem(unnamed.list_users(ListUsersRequest::default()).await).code, Code::PermissionDenied);
    let mut nobody = client_with(&pki, &server, None).await.users();
    assert_eq!(problem(nobody.list_users(ListUsersRequest::default()).await).code, Code::Unauthenticated);

    // The change log has the service's name.
    lister.create_user(with_email("ada@example.com")).await.unwrap();
    let (_, folder) = server.stop().await;
    assert_eq!(actors(&folder).await, ["service:spiffe://example.org/lister"]);
}

#[tokio::test]
async fn a_token_comes_before_the_certificate_and_is_not_replaced_by_it() {
    let pki = Pki::new();
    let server = knowing(&pki, ClientCertificates::Optional);
    let client = client_with(&pki, &server, Some(&lister(&pki))).await;
    let (mut users, mut auth) = (client.users(), client.auth());
    let password = String::from("correct horse battery");
    let ada = CreateUserRequest { password: password.clone(), ..with_email("ada@example.com") };
    let ada = users.create_user(ada).await.unwrap().into_inner();
    let sign_in = SignInRequest { login: ada.email.clone(), password, device: String::new() };
    let token = auth.sign_in(sign_in).await.unwrap().into_inner().tokens.unwrap().access_token;

    // What Ada may and the service may not, and the other way round.
    let get = || GetUserRequest { user_id: ada.id.clone() };
    let list = ListUsersRequest::default;
    assert_eq!(problem(users.get_user(get()).await).reason, "PERMISSION_DENIED");
    users.list_users(list()).await.unwrap();
    assert_eq!(users.get_user(signed_in(get(), &token)).await.unwrap().into_inner().id, ada.id);
    assert_eq!(problem(users.list_users(signed_in(list(), &token)).await).reason, "PERMISSION_DENIED");
    let renamed = UpdateUserRequest { user_id: ada.id.clone(), name: Some("Ada".into()), ..Default::default() };
    users.update_user(signed_in(renamed, &token)).await.unwrap();
    // A token that is not good makes nobody of the caller, whatever the certificate says.
    let (start, _) = token.split_at(token.len() - 4);
    for bad in ["nonsense", start, "rk_nonsense"] {
        let refused = problem(users.list_users(signed_in(list(), bad)).await);
        assert_eq!(refused.kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"), "{bad}");
    }
    let (_, folder) = server.stop().await;
    assert_eq!(actors(&folder).await, ["service:spiffe://example.org/lister", &format!("user:{}", ada.id)]);
}

#[tokio::test]
async fn certificates_that_are_missing_or_bad_are_refused_in_the_handshake() {
    let (pki, stranger) = (Pki::new(), Pki::named("another CA"));
    let required = knowing(&pki, ClientCertificates::Required);
    let optional = knowing(&pki, ClientCertificates::Optional);
    let good = lister(&pki);
    let mut users = client_with(&pki, &required, Some(&good)).await.users();
    users.list_users(ListUsersRequest::default()).await.unwrap();

    let foreign = stranger.sign(client("spiffe"));
    let expired = pki.sign(Says { until: 2020, ..client("late") });
    let a_servers = pki.sign(Says { usage: ExtendedKeyUsagePurpose::ServerAuth, ..client("server") });
    for version in [&TLS12, &TLS13] {
        let end = async |server, identity| refusal(server, pki.trusting(&[version], &["h2"], identity)).await;
        let missing = end(&required, None).await;
        assert!(missing.contains("CertificateRequired") || missing.contains("HandshakeFailure"), "{missing}");
        for bad in [&foreign, &expired, &a_servers] {
            for server in [&required, &optional] {
                let error = end(server, Some(bad)).await;
                assert!(error.contains("fatal alert"), "{error}");
            }
        }
    }
    // And a client refuses a server whose CA it does not trust, or that has another name.
    let untrusted = Client::builder().endpoint(format!("https://{}", optional.addr())).ca(stranger.ca.as_str());
    assert!(untrusted.connect().await.unwrap_err().to_string().contains("UnknownIssuer"));
    let other = Client::builder().endpoint(format!("https://{}", optional.addr())).ca(pki.ca.as_str());
    assert!(other.server_name("roster.example").connect().await.unwrap_err().to_string().contains("roster.example"));
}

#[tokio::test]
async fn the_operator_calls_on_a_socket_that_goes_with_the_server() {
    let server = Server::start(|config| {
        config.dev = false;
        config.max_connections = 1;
    });
    let socket = server.folder().join("roster.db.sock");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // However full the server is.
    let mut nobody = server.users().await;
    assert_eq!(problem(nobody.list_users(ListUsersRequest::default()).await).code, Code::Unauthenticated);
    let operator = Client::connect(&format!("unix:{}", socket.display())).await.unwrap();
    let chosen = CreateUserRequest { user_id: "ada".into(), email_verified: true, ..with_email("ada@example.com") };
    operator.users().create_user(chosen).await.unwrap();
    operator.users().list_users(ListUsersRequest::default()).await.unwrap();

    drop((operator, nobody));
    let (_, folder) = server.stop().await;
    assert!(!socket.exists());
    assert_eq!(actors(&folder).await, ["system"]);
}

/// Who made the changes in a database, as its change log has it.
async fn actors(folder: &TempDir) -> Vec<String> {
    let store = store_in(folder);
    let changes = store.list_changes(0, 10).await.unwrap().changes;
    store.close().await;
    changes.into_iter().map(|change| change.actor).collect()
}
