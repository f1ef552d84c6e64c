//! The end of a server: what is in flight finishes, what never ends is ended, and nothing holds it up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{SendStream, client::ResponseFuture};
use prost::Message as _;
use roster_api::user::v1::{GetUserRequest, User};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::harness::{Problem, Server, Wire, create_all, everything, framed, grpc};

/// A grace period that no test waits for.
const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(200);
/// What the server may take beyond the grace period to drop what it cuts, and this machine to run it all.
const SLACK: Duration = Duration::from_secs(10);

/// A GetUser of which only the first bytes have been sent, and have arrived.
async fn half_sent(wire: &Wire, frame: &Bytes) -> (ResponseFuture, SendStream<Bytes>) {
    let head = grpc("/user.v1.UserService/GetUser", b"").map(|_| ());
    let (response, mut upload) = wire.client().await.unwrap().send_request(head, false).unwrap();
    upload.send_data(frame.slice(..3), false).unwrap();
    // Answered after it on the same connection.
    assert_eq!(wire.call("/grpc.health.v1.Health/Check", b"").await.status().code(), Code::Ok);
    (response, upload)
}

async fn readiness(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.http_addr()).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: roster\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_call_in_flight_finishes_and_no_new_one_begins() {
    let server = Server::start(|config| config.drain_grace = LONG);
    let user = create_all(&mut server.users().await, &["ada"]).await.remove(0);
    let frame = framed(0, &GetUserRequest { user_id: user.id.clone() }.encode_to_vec());
    let (wire, addr) = (server.wire().await, server.addr());
    let (response, mut upload) = half_sent(&wire, &frame).await;

    server.shutdown();
    // The GOAWAY has come when no further call can begin on the connection.
    while wire.client().await.is_ok() {
        tokio::task::yield_now().await;
    }
    // The accept thread closes the listener in its own time.
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(readiness(&server).await.starts_with("HTTP/1.1 503 "), "a balancer must look elsewhere by now");

    upload.send_data(frame.slice(3..), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let answer = body.data().await.unwrap().unwrap();
    assert_eq!(User::decode(&answer[5..]).unwrap(), user);
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    drop((body, upload));
    let (report, _) = server.ended().await;
    assert_eq!(report.connections_cut, 0, "{report:?}");
}

#[tokio::test]
async fn streams_without_an_end_are_told_and_ended() {
    let server = Server::start(|config| config.drain_grace = LONG);
    let mut watches = Vec::new();
    for service in ["", "user.v1.UserService"] {
        let mut health = HealthClient::new(server.channel().await);
        let request = HealthCheckRequest { service: service.into() };
        let mut watch = health.watch(request).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        watches.push(watch);
    }
    // A client of reflection that has got its answer, and keeps the stream.
    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let list = Some(MessageRequest::ListServices(String::new()));
    let (questions, receiver) = tokio::sync::mpsc::channel(1);
    questions.send(ServerReflectionRequest { host: String::new(), message_request: list }).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = reflection.server_reflection_info(stream).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());

    server.shutdown();
    for mut watch in watches {
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        let end = Problem::in_trailers(&watch.message().await.unwrap_err());
        assert_eq!(end.kind(), (Code::Unavailable, "SHUTTING_DOWN"));
    }
    let end = Problem::in_trailers(&answers.message().await.unwrap_err());
    assert_eq!(end.kind(), (Code::Unavailable, "SHUTTING_DOWN"));
    drop((answers, reflection, questions));
    let (report, _) = server.ended().await;
    assert_eq!(report.connections_cut, 0, "{report:?}");
}

#[tokio::test]
async fn the_grace_period_ends_whatever_clients_do() {
    let server = Server::start(|config| config.drain_grace = SHORT);
    let _mute = TcpStream::connect(server.addr()).await.unwrap();
    let mut half_a_preface = TcpStream::connect(server.addr()).await.unwrap();
    half_a_preface.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let _mute_http = TcpStream::connect(server.http_addr()).await.unwrap();
    let wire = server.wire().await;
    let (stuck, _upload) = half_sent(&wire, &framed(0, b"a call that will never be whole")).await;

    let started = Instant::now();
    let (report, _) = server.stop().await;
    let took = started.elapsed();
    assert!((SHORT..SHORT + SLACK).contains(&took), "{took:?}");
    assert_eq!(report.connections_cut, 1, "{report:?}");
    assert!(stuck.await.is_err());
}

#[tokio::test]
async fn a_second_request_to_stop_cuts_the_drain_short_and_loses_nothing() {
    let server = Server::start(|config| config.drain_grace = LONG);
    let created = create_all(&mut server.users().await, &["ada", "bea"]).await;
    let wire = server.wire().await;
    let (stuck, _upload) = half_sent(&wire, &framed(0, b"a call that will never be whole")).await;
    server.shutdown();
    while wire.client().await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.shutdown();
    let (report, folder) = server.ended().await;
    assert_eq!(report.connections_cut, 1, "{report:?}");
    assert!(stuck.await.is_err());

    let server = Server::start_in(folder, |_| ());
    assert_eq!(everything(&mut server.users().await).await, created);
}
