//! Calls that are refused before their message has come: the connection of who is refused often goes on.
//!
//! No client library sends a message after it has seen the refusal, so the frames are written by hand here.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::USERS;
use crate::harness::{Server, framed};

/// Types of frames ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113#section-6)).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Flags of frames.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame without its length.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A connection that does as it is told.
struct Frames(TcpStream);

impl Frames {
    async fn to(server: &Server) -> Self {
        let mut frames = Self(TcpStream::connect(server.addr()).await.unwrap());
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).await.unwrap();
    }

    /// The headers of a call, as literals that no table keeps.
    async fn call(&mut self, stream: u32, path: &str) {
        self.call_within(stream, path, "1H").await;
    }

    async fn call_within(&mut self, stream: u32, path: &str, timeout: &str) {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "roster"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("grpc-timeout", timeout),
        ];
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let block: Vec<u8> =
            fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect();
        self.send(HEADERS, END_HEADERS, stream, &block).await;
    }

    /// The next frame that is not about the connection.
    async fn next(&mut self) -> Frame {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload).await.unwrap();
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                PING if frame.flags & ACK == 0 => self.send(PING, ACK, 0, &frame.payload).await,
                GOAWAY => panic!("the connection is closed: {}", frame.payload.escape_ascii()),
                _ if frame.stream > 0 => return frame,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_refused_often_keeps_the_connection() {
    let server = Server::start(|config| config.dev = false);
    let mut frames = Frames::to(&server).await;
    let refused = ["GetUser", "ListUsers", "NoMethod"];
    let streams = || (0..300).map(|number| number * 2 + 1);
    for stream in streams() {
        let method = refused[stream as usize % refused.len()];
        frames.call(stream, &format!("{USERS}/{method}")).await;
        let answer = frames.next().await;
        assert_eq!((answer.kind, answer.flags, answer.stream), (HEADERS, END_HEADERS | END_STREAM, stream));
    }
    // The messages were on their way when the refusals were.
    for stream in streams() {
        frames.send(DATA, END_STREAM, stream, &framed(0, b"")).await;
    }
    good_call(&mut frames, 601).await;
}

#[tokio::test]
async fn whoever_is_late_often_keeps_the_connection() {
    let server = Server::dev();
    let mut frames = Frames::to(&server).await;
    let streams = || (0..300).map(|number| number * 2 + 1);
    for stream in streams() {
        frames.call_within(stream, &format!("{USERS}/HealthCheck"), "0n").await;
        let answer = frames.next().await;
        assert_eq!((answer.kind, answer.flags, answer.stream), (HEADERS, END_HEADERS | END_STREAM, stream));
    }
    for stream in streams() {
        frames.send(DATA, END_STREAM, stream, &framed(0, b"")).await;
    }
    good_call(&mut frames, 601).await;
}

#[tokio::test]
async fn what_a_refused_caller_sends_is_bounded() {
    let server = Server::start(|config| config.dev = false);
    let mut frames = Frames::to(&server).await;
    // More than is taken in of one call, and one whose message never comes.
    for stream in [1, 3] {
        frames.call(stream, &format!("{USERS}/GetUser")).await;
        assert_eq!(frames.next().await.stream, stream);
    }
    for _ in 0..5 {
        frames.send(DATA, 0, 1, &[0; 16_000]).await;
    }
    let mut reset = Vec::new();
    while reset.len() < 2 {
        let frame = tokio::time::timeout(Duration::from_secs(20), frames.next()).await.unwrap();
        if frame.kind == RST_STREAM {
            reset.push(frame.stream);
        }
    }
    assert_eq!(reset, [1, 3]);
    good_call(&mut frames, 5).await;
}

/// A call that must go through.
async fn good_call(frames: &mut Frames, stream: u32) {
    frames.call(stream, &format!("{USERS}/HealthCheck")).await;
    frames.send(DATA, END_STREAM, stream, &framed(0, b"")).await;
    let mut got_message = false;
    loop {
        let frame = frames.next().await;
        assert!(frame.kind != RST_STREAM, "{frame:?}");
        got_message |= frame.stream == stream && frame.kind == DATA && !frame.payload.is_empty();
        if frame.stream == stream && frame.flags & END_STREAM != 0 {
            break assert!(got_message, "{frame:?}");
        }
    }
}
