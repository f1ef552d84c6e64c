//! Real sockets against a real server: what it answers, what it closes, and how it ends.

use std::{
    future::pending,
    io::{Read as _, Write as _},
    net::{TcpStream as StdStream, ToSocketAddrs as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::client::SendRequest;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use tokio::{net::TcpStream, sync::Semaphore, task::JoinHandle};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Long enough for any machine; a test that needs it has failed.
const FAR: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

/// A server whose paths do what their names say.
struct Fixture {
    net: Net,
    /// A call of `/gated` ends when it gets a permit.
    gate: Arc<Semaphore>,
}

/// A body that never ends and gives nothing.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        Poll::Pending
    }
}

fn start(options: NetOptions) -> Fixture {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let handler_gate = Arc::clone(&gate);
    let handler = move |peer: Arc<Peer>, request: Request<Incoming>| {
        let gate = Arc::clone(&handler_gate);
        async move {
            let body: UnsyncBoxBody<Bytes, std::io::Error> = match request.uri().path() {
                "/gated" => {
                    gate.acquire().await.unwrap().forget();
                    Full::from("opened").map_err(|never| match never {}).boxed_unsync()
                }
                "/endless" => Endless.boxed_unsync(),
                "/echo" => {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Full::from(body).map_err(|never| match never {}).boxed_unsync()
                }
                _ => Full::from(peer.addr().unwrap().ip().to_string()).map_err(|never| match never {}).boxed_unsync(),
            };
            Response::new(body)
        }
    };
    let net = serve(listener, options, DrainSwitch::new(), || handler.clone()).unwrap();
    Fixture { net, gate }
}

fn two_workers() -> NetOptions {
    NetOptions { workers: 2, ..NetOptions::default() }
}

/// An HTTP/2 connection, and how it ended.
type Client = (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>);

async fn connect(net: &Net) -> Client {
    let stream = TcpStream::connect(net.local_addr()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    (client.ready().await.unwrap(), tokio::spawn(connection))
}

fn request(path: &str) -> Request<()> {
    Request::post(format!("http://roster{path}")).body(()).unwrap()
}

async fn body_of(response: Response<h2::RecvStream>) -> Vec<u8> {
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        all.extend_from_slice(&chunk);
    }
    all
}

async fn call(client: &mut SendRequest<Bytes>, path: &str) -> Result<Vec<u8>, h2::Error> {
    Ok(body_of(client.send_request(request(path), true)?.0.await?).await)
}

/// A socket for raw bytes that fails a test which would hang.
fn raw(net: &Net) -> StdStream {
    let stream = StdStream::connect(net.local_addr()).unwrap();
    stream.set_read_timeout(Some(FAR)).unwrap();
    stream
}

/// Whether the server closes the connection, by whatever means, before [`FAR`].
fn closes(mut stream: StdStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HEADERS of `POST /gated`, in HPACK's static table and literals, without END_STREAM.
fn headers(stream: u32) -> Vec<u8> {
    const HEADERS: u8 = 1;
    const END_HEADERS: u8 = 4;
    let block = [&[0x83, 0x86, 0x04, 6][..], b"/gated", &[0x41, 1], b"x"].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

#[tokio::test]
async fn serves_http2_and_http1_and_counts_them() {
    let fixture = start(two_workers());
    let (mut client, _) = connect(&fixture.net).await;
    assert_eq!(call(&mut client, "/").await.unwrap(), b"127.0.0.1");

    let mut http1 = raw(&fixture.net);
    http1.write_all(b"POST / HTTP/1.1\r\nhost: roster\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        http1.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = answer.await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n127.0.0.1"), "{answer}");

    drop(client);
    let stats = fixture.net.stats();
    assert_eq!(fixture.net.drain(FAR, pending()).await.connections_cut, 0);
    assert_eq!((stats.connections(), stats.in_flight(), stats.served()), (0, 0, 2));
}

#[tokio::test]
async fn a_message_of_50_megabytes_goes_both_ways() {
    let fixture = start(two_workers());
    let (mut client, _) = connect(&fixture.net).await;
    let sent = Bytes::from(vec![7; 50 * 1024 * 1024]);
    let (response, mut upload) = client.send_request(request("/echo"), false).unwrap();
    upload.send_data(sent.clone(), true).unwrap();
    assert!(body_of(response.await.unwrap()).await == sent);
}

#[tokio::test]
async fn silent_connections_are_closed_by_timeouts() {
    let fixture = start(NetOptions {
        preface_timeout: SHORT,
        header_read_timeout: SHORT,
        keep_alive_interval: SHORT,
        keep_alive_timeout: SHORT,
        ..two_workers()
    });
    let empty_settings = frame(4, 0, 0, b"");
    let cut_headers = frame(1, 0, 1, &[0x83]);
    let openings: [&[u8]; 6] = [
        b"",
        b"PRI * HTT",
        b"POST / HTTP/1.1\r\nhost: ros",
        PREFACE,
        &[PREFACE, &empty_settings].concat(),
        &[PREFACE, &empty_settings, &cut_headers].concat(),
    ];
    let sockets = openings.map(|opening| {
        let mut socket = raw(&fixture.net);
        socket.write_all(opening).unwrap();
        (opening.escape_ascii().to_string(), socket)
    });
    for (opening, socket) in sockets {
        assert!(tokio::task::spawn_blocking(move || closes(socket)).await.unwrap(), "after {opening:?}");
    }
}

#[tokio::test]
async fn connections_are_dealt_evenly_and_refused_above_the_limit() {
    let fixture = start(NetOptions { max_connections: 8, ..two_workers() });
    let mut clients = Vec::new();
    for _ in 0..8 {
        let (mut client, connection) = connect(&fixture.net).await;
        call(&mut client, "/").await.unwrap();
        clients.push((client, connection));
    }
    assert_eq!(fixture.net.stats().connections_by_worker(), [4, 4]);
    assert!(closes(raw(&fixture.net)));
    assert_eq!(call(&mut clients[7].0, "/").await.unwrap(), b"127.0.0.1");
}

#[tokio::test]
async fn more_streams_than_the_limit_are_refused() {
    let fixture = start(NetOptions { max_concurrent_streams: 10, ..two_workers() });
    let mut socket = raw(&fixture.net);
    let streams: Vec<u8> = (0..11).flat_map(|n| headers(2 * n + 1)).collect();
    socket.write_all(&[PREFACE, &frame(4, 0, 0, b""), &streams].concat()).unwrap();
    // RST_STREAM of the eleventh stream, number 21, with REFUSED_STREAM.
    let refusal = frame(3, 0, 21, &7_u32.to_be_bytes());
    let refused = tokio::task::spawn_blocking(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while !all.windows(refusal.len()).any(|window| window == refusal) {
            let read = socket.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "closed without a refusal: {}", all.escape_ascii());
            all.extend_from_slice(&buffer[..read]);
        }
        socket
    });
    let _open = refused.await.unwrap();
    let stats = fixture.net.stats();
    while stats.in_flight() < 10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn floods_of_resets_close_their_connection_and_no_other() {
    let fixture = start(NetOptions { workers: 1, ..NetOptions::default() });
    let (mut client, _) = connect(&fixture.net).await;
    let rapid_reset = |stream| [headers(stream), frame(3, 0, stream, &8_u32.to_be_bytes())].concat();
    // A window update by nothing is an error that we have to answer with a reset.
    let made_you_reset = |stream| [headers(stream), frame(8, 0, stream, &[0; 4])].concat();
    let floods: [&dyn Fn(u32) -> Vec<u8>; 2] = [&rapid_reset, &made_you_reset];
    for flood in floods {
        let mut socket = raw(&fixture.net);
        let frames: Vec<u8> = (0..2_000).flat_map(|n| flood(2 * n + 1)).collect();
        // The server may close in the middle of it.
        let _ = socket.write_all(&[PREFACE, &frame(4, 0, 0, b""), &frames].concat());
        assert_eq!(call(&mut client, "/").await.unwrap(), b"127.0.0.1");
        assert!(tokio::task::spawn_blocking(move || closes(socket)).await.unwrap());
    }
    assert_eq!(call(&mut client, "/").await.unwrap(), b"127.0.0.1");
}

#[tokio::test]
async fn a_drain_says_goaway_and_finishes_what_is_in_flight() {
    let fixture = start(two_workers());
    let addr = fixture.net.local_addr();
    let signal = fixture.net.drain_signal();
    let (mut client, ended) = connect(&fixture.net).await;
    let (in_flight, _) = client.send_request(request("/gated"), true).unwrap();
    // Answered after it on the same connection, so the first has arrived.
    call(&mut client, "/").await.unwrap();
    assert!(!signal.is_draining());

    let drain = tokio::spawn(fixture.net.drain(FAR, pending()));
    signal.draining().await;
    // The GOAWAY has come when the client refuses to begin another call.
    while client.clone().ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    // The accept thread closes the listener in its own time.
    while StdStream::connect(addr).is_ok() {
        tokio::task::yield_now().await;
    }

    fixture.gate.add_permits(1);
    assert_eq!(body_of(in_flight.await.unwrap()).await, b"opened");
    let report = drain.await.unwrap();
    assert_eq!((report.connections_closed_gracefully, report.connections_cut), (1, 0));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_cuts_what_never_ends() {
    let fixture = start(two_workers());
    // A client that never reads nor answers, in three states: mute, after its preface, and with a call open.
    let settings = frame(4, 0, 0, b"");
    let openings: [&[u8]; 3] = [b"", &[PREFACE, &settings].concat(), &[PREFACE, &settings, &headers(1)].concat()];
    let sockets = openings.map(|opening| {
        let mut socket = raw(&fixture.net);
        socket.write_all(opening).unwrap();
        socket
    });
    let (mut client, _) = connect(&fixture.net).await;
    let mut endless = client.send_request(request("/endless"), true).unwrap().0.await.unwrap().into_body();

    let stats = fixture.net.stats();
    while stats.connections() < 4 || stats.in_flight() < 2 {
        tokio::task::yield_now().await;
    }
    let report = fixture.net.drain(SHORT, pending()).await;
    assert!(report.took >= SHORT && report.took < SHORT + STUCK_AFTER, "{report:?}");
    // The mute one has asked for nothing, so it is closed in order.
    assert_eq!((report.connections_closed_gracefully, report.connections_cut), (1, 3));
    assert_eq!((stats.connections(), stats.in_flight()), (0, 0));
    assert!(endless.data().await.unwrap().is_err());
    for socket in sockets {
        assert!(closes(socket));
    }
}

#[tokio::test]
async fn background_tasks_run_until_the_drain_has_ended() {
    let fixture = start(two_workers());
    let signal = fixture.net.drain_signal();
    let (hold, held) = oneshot::channel::<()>();
    fixture.net.background().spawn(async move {
        signal.draining().await;
        drop(hold);
    });
    assert!(fixture.net.local_addr().to_socket_addrs().is_ok());
    fixture.net.drain(FAR, pending()).await;
    assert!(held.await.is_err());
}
