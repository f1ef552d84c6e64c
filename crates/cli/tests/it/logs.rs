//! The log of a running server: its level can be changed, and nothing from outside breaks a line.

use std::fs;

use bytes::Bytes;
use http::Request;
use roster_api::user::v1::GetUserRequest;
use rustix::process::{Signal, kill_process};
use tokio::net::TcpStream;

use crate::server::{Server, serve};

#[tokio::test]
async fn sighup_reads_the_level_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roster.toml");
    let level = |text: &str| fs::write(&file, format!("log_level = {text}\n")).unwrap();
    level("\"info,roster::call=off\"");
    let mut server = Server::start(&mut serve(folder.path()));
    let mut users = server.client().await;
    let request = || GetUserRequest { user_id: "nobody".into() };
    users.get_user(request()).await.unwrap_err();
    level("\"info\"");
    kill_process(server.pid(), Signal::HUP).unwrap();
    let event = server.await_message("the level of the log was read anew").unwrap();
    assert_eq!(event["log_level"], "info");
    assert!(!server.has_seen("roster::call"), "calls were off");
    users.get_user(request()).await.unwrap_err();
    let call = server.await_event(|event| event["target"] == "roster::call").unwrap();
    assert_eq!(call["status"], "NotFound");
    // Nonsense changes nothing, and ends nothing.
    level("\"loud\"");
    kill_process(server.pid(), Signal::HUP).unwrap();
    let event = server.await_message("the configuration cannot be read").unwrap();
    assert!(event["error"].as_str().unwrap().contains("log_level cannot be \"loud\""), "{event}");
    users.get_user(request()).await.unwrap_err();
    assert!(server.await_event(|event| event["target"] == "roster::call").is_some());
    server.stop();
}

#[tokio::test]
async fn what_a_client_sends_cannot_break_a_line() {
    let mut server = Server::in_memory();
    let (client, connection) = h2::client::handshake(TcpStream::connect(&server.grpc).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    // Line separators, a reversal of text, and an escape sequence of a terminal with its C1 byte: all that HTTP lets through.
    let path = "/x/\u{2028}{\"level\":\"ERROR\"}\u{202e}\u{9b}31m";
    let request = Request::post(format!("http://roster{path}")).header("content-type", "application/grpc");
    let (response, mut upload) = client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
    upload.send_data(Bytes::from_static(&[0; 5]), true).unwrap();
    response.await.unwrap();
    let call = server.await_event(|event| event["target"] == "roster::call").unwrap();
    assert_eq!(call["method"], path);
    let line = server.last_line();
    assert!(line.chars().all(|c| !c.is_control() && !matches!(c, '\u{2028}' | '\u{202e}')), "{line:?}");
    server.stop();
}
