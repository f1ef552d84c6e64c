//! Clients that mean harm, or behave as if they did: what they cost is bounded, and whoever else calls is served.

use std::{
    io::{BufReader, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use prost::Message as _;
use roster_api::{
    Client, RetryPolicy,
    user::v1::{GetUserRequest, ListUsersRequest},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    process::{ROSTER, command},
    server::{LIMIT, Server, new_user, serve},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GET: &str = "/user.v1.UserService/GetUser";
const LIST: &str = "/user.v1.UserService/ListUsers";
/// Frame types (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;
/// What all attacks together may make the server grow by.
const ATTACKS_MAX: u64 = 128 * MIB;
/// Connections of each attack.
const ATTACKERS: usize = 4;
/// Nobody waits longer for room to write: a server that takes no more has bounded what it takes.
const STUCK_AFTER: Duration = Duration::from_millis(100);

fn frame(kind: u8, flags: u8, stream: usize, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &u32::try_from(stream).unwrap().to_be_bytes(), payload].concat()
}

/// The header block of a call, in literals of HPACK (RFC 7541, section 6.2.2).
fn block(path: &str) -> Vec<u8> {
    let literal = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let named = |name: &str, value: &str| [vec![0], literal(name), literal(value)].concat();
    [
        named(":method", "POST"),
        named(":scheme", "http"),
        named(":path", path),
        named(":authority", "roster"),
        named("content-type", "application/grpc"),
        named("te", "trailers"),
    ]
    .concat()
}

fn headers(path: &str, stream: usize) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(path))
}

/// The number of a client's stream.
fn stream(number: usize) -> usize {
    2 * number + 1
}

/// A whole call.
fn call(path: &str, number: usize, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0], &length[..], message].concat();
    [headers(path, stream(number)), frame(DATA, END_STREAM, stream(number), &body)].concat()
}

/// A connection that has said who it is.
fn greeted(server: &Server, settings: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(&server.grpc).unwrap();
    socket.set_write_timeout(Some(STUCK_AFTER)).unwrap();
    socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).unwrap();
    socket
}

/// Sends until all is sent, the server closes, or it takes no more.
fn flood(socket: &mut TcpStream, bytes: &[u8]) {
    if let Err(error) = socket.write_all(bytes) {
        let expected = [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(expected.contains(&error.kind()), "{error}");
    }
}

/// Whether the server closes the connection.
fn closes(mut socket: TcpStream) -> bool {
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Memory that the server has resident, or had at most, in bytes.
fn memory(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * KIB
}

/// A server with an HTTP port, and what its log said where that is.
fn serve_with_http(folder: &Path, env: &[(&str, &str)]) -> Server {
    let mut command = command(ROSTER, folder);
    command.args(["serve", "--dev", "--port", "0", "--http-addr", "127.0.0.1:0"]).envs(env.iter().copied());
    Server::start(&mut command)
}

/// A figure of `/metrics`.
fn metric(server: &Server, name: &str) -> u64 {
    let mut socket = TcpStream::connect(server.http.as_deref().unwrap()).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: roster\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}")).parse::<f64>().unwrap() as u64
}

/// Somebody who calls all the while, on a connection of their own, and has every call answered.
struct Bystander {
    served: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Bystander {
    fn of(server: &Server) -> Self {
        let (served, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped, endpoint) = (Arc::clone(&served), Arc::clone(&stop), server.grpc.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = Client::builder().endpoint(endpoint).retry(RetryPolicy::never()).connect().await.unwrap();
                let mut users = client.users();
                while !stopped.load(Relaxed) {
                    users.get_user(GetUserRequest { user_id: "user-0000".into() }).await.unwrap();
                    counted.fetch_add(1, Relaxed);
                }
            });
        });
        Self { served, stop, thread }
    }

    /// Waits until they have been served so many times more.
    fn is_served(&self, times: u64) {
        let enough = self.served.load(Relaxed) + times;
        while self.served.load(Relaxed) < enough {
            assert!(!self.thread.is_finished(), "a call failed");
            thread::yield_now();
        }
    }

    fn leave(self) {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}

/// An attack by frames, and whether the server has to end the connection for it. Where it has not, it may: it keeps no more
/// for such a client than it keeps for any.
type Attack = (&'static str, fn() -> Vec<u8>, bool);

const ATTACKS: [Attack; 7] = [
    ("calls that are reset at once", rapid_resets, true),
    (
        "headers that go on for ever",
        || {
            let begin = frame(HEADERS, 0, 1, &block(GET));
            let more = frame(CONTINUATION, 0, 1, &[&[0, 1][..], b"x", &[0x7f, 0xff, 0x06], &[b'y'; 1_000]].concat());
            [begin, more.repeat(2_000)].concat()
        },
        true,
    ),
    ("settings to be acknowledged", || frame(SETTINGS, 0, 0, b"").repeat(200_000), false),
    ("pings to be answered", || frame(PING, 0, 0, &[0; 8]).repeat(200_000), false),
    (
        "headers that are too large",
        || {
            let large = [&block(GET)[..], &[[0, 1, b'x', 100].as_slice(), &[b'y'; 100]].concat().repeat(400)].concat();
            (0..200).flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &large)).collect()
        },
        false,
    ),
    ("frames of nothing", || [headers(GET, 1), frame(DATA, 0, 1, b"").repeat(200_000)].concat(), false),
    ("more calls than may be open", || (0..3_000).flat_map(|number| headers(GET, stream(number))).collect(), false),
];

fn rapid_resets() -> Vec<u8> {
    let one = |number| [headers(GET, stream(number)), frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8])].concat();
    (0..5_000).flat_map(one).collect()
}

#[test]
fn attacks_by_frames_are_bounded_and_nobody_else_notices() {
    let server = Server::in_memory();
    server.fill(1);
    let bystander = Bystander::of(&server);
    bystander.is_served(10);
    let before = memory(&server, "VmRSS:");
    for (name, frames, must_close) in ATTACKS {
        let frames = frames();
        let mut sockets: Vec<_> = (0..ATTACKERS).map(|_| greeted(&server, b"")).collect();
        for socket in &mut sockets {
            flood(socket, &frames);
        }
        // While the attackers still hold on to what they have.
        bystander.is_served(10);
        if must_close {
            assert!(sockets.into_iter().all(closes), "{name}");
        }
        let grown = memory(&server, "VmHWM:").saturating_sub(before);
        assert!(grown < ATTACKS_MAX, "{} MiB after {name}", grown / MIB);
    }
    bystander.leave();
    let log = server.stop().err;
    assert!(!log.contains("panicked") && !log.contains("fault"), "{log}");
}

#[test]
fn connections_that_say_nothing_are_closed_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(folder.path());
    command.env("ROSTER_PREFACE_TIMEOUT_MS", "100");
    command.env("ROSTER_KEEPALIVE_INTERVAL_MS", "1000").env("ROSTER_KEEPALIVE_TIMEOUT_MS", "100");
    let server = Server::start(&mut command);
    server.fill(1);
    let bystander = Bystander::of(&server);
    let mute = || TcpStream::connect(&server.grpc).unwrap();
    let half = |bytes: &[u8]| {
        let mut socket = mute();
        socket.write_all(bytes).unwrap();
        socket
    };
    // Those after the greeting answer no ping.
    let idle = || greeted(&server, b"");
    let waits = || {
        let mut socket = greeted(&server, b"");
        socket.write_all(&headers(GET, 1)).unwrap();
        socket
    };
    let sockets = (0..5).flat_map(|_| [mute(), half(b"PRI * HT"), half(b"GET / HTTP/1.1\r\n"), idle(), waits()]);
    let sockets: Vec<TcpStream> = sockets.collect();
    bystander.is_served(10);
    // All but the third kind, which has half a minute for its header.
    for (number, socket) in sockets.into_iter().enumerate().filter(|(number, _)| number % 5 != 2) {
        assert!(closes(socket), "{number}");
    }
    bystander.is_served(10);
    bystander.leave();
}

/// Reads up to so many answers' headers.
fn await_headers(socket: &TcpStream, count: usize) {
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let (mut reader, mut seen) = (BufReader::new(socket), 0);
    while seen < count {
        let mut head = [0; 9];
        reader.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        reader.read_exact(&mut vec![0; length as usize]).unwrap();
        seen += usize::from(head[3] == HEADERS);
    }
}

/// What a stream may cost whose client takes nothing of its answer.
const UNREAD_STREAM_MAX: u64 = 256 * KIB;
const UNREAD_STREAMS: usize = 1_000;

#[test]
fn a_thousand_streams_that_are_never_read_cost_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    // All of them are to be let in, and to stay.
    let env = [("ROSTER_QUEUE_WAIT_MAX_MS", "3600000"), ("ROSTER_KEEPALIVE_INTERVAL_MS", "3600000")];
    let server = serve_with_http(folder.path(), &env);
    server.fill(1_500);
    let bystander = Bystander::of(&server);
    bystander.is_served(10);
    let before = memory(&server, "VmRSS:");
    // SETTINGS_INITIAL_WINDOW_SIZE is 0: not a byte may be sent.
    let no_window = [0, 4, 0, 0, 0, 0];
    let message = ListUsersRequest { page_size: 1_000, ..Default::default() }.encode_to_vec();
    let sockets: Vec<_> = (0..10)
        .map(|_| {
            let mut socket = greeted(&server, &no_window);
            socket.set_write_timeout(Some(LIMIT)).unwrap();
            let calls: Vec<u8> = (0..UNREAD_STREAMS / 10).flat_map(|number| call(LIST, number, &message)).collect();
            socket.write_all(&calls).unwrap();
            socket
        })
        .collect();
    let in_flight = "roster_calls_in_flight{service=\"user.v1.UserService\",method=\"ListUsers\"}";
    // Headers need no window: once they are there, so is the first of the answer.
    sockets.iter().for_each(|socket| await_headers(socket, UNREAD_STREAMS / 10));
    assert_eq!(metric(&server, in_flight), UNREAD_STREAMS as u64);
    // Every worker has been round all that it can do.
    bystander.is_served(100);
    let each = memory(&server, "VmHWM:").saturating_sub(before) / UNREAD_STREAMS as u64;
    eprintln!("{} KiB a stream", each / KIB);
    assert!(each < UNREAD_STREAM_MAX, "{} KiB a stream", each / KIB);
    drop(sockets);
    while metric(&server, in_flight) > 0 {}
    bystander.leave();
}

/// What a connection may cost that does nothing.
const IDLE_CONNECTION_MAX: u64 = 64 * KIB;
const IDLE_CONNECTIONS: u64 = 9_990;

#[test]
fn ten_thousand_idle_connections_cost_bounded_memory() {
    let limit = getrlimit(Resource::Nofile);
    // What the system gives at most, for this process and the server, which inherits it.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let count = IDLE_CONNECTIONS.min(limit.maximum.unwrap_or(u64::MAX).saturating_sub(1_000));
    assert!(count >= 1_000, "the limit of open files is too low to see anything");
    let folder = tempfile::tempdir().unwrap();
    let server = serve_with_http(folder.path(), &[("ROSTER_KEEPALIVE_INTERVAL_MS", "3600000")]);
    server.fill(1);
    let bystander = Bystander::of(&server);
    bystander.is_served(10);
    let before = memory(&server, "VmRSS:");
    let sockets: Vec<_> = (0..count).map(|_| greeted(&server, b"")).collect();
    while metric(&server, "roster_connections{port=\"grpc\"}") <= count {
        assert!(!bystander.thread.is_finished(), "a call failed");
    }
    bystander.is_served(100);
    let each = memory(&server, "VmRSS:").saturating_sub(before) / count;
    eprintln!("{:.1} KiB a connection", each as f64 / KIB as f64);
    assert!(each < IDLE_CONNECTION_MAX, "{} KiB a connection", each / KIB);
    drop(sockets);
    bystander.leave();
}

#[test]
fn file_descriptors_that_are_used_up_and_freed_leave_it_serving() {
    let folder = tempfile::tempdir().unwrap();
    let script = "ulimit -n 128 && exec \"$0\" \"$@\"";
    let mut limited: Command = command("sh", folder.path());
    limited.args(["-c", script, ROSTER, "serve", "--dev", "--port", "0", "--http-addr", "off"]);
    let mut server = Server::start(&mut limited);
    server.fill(1);
    let bystander = Bystander::of(&server);
    bystander.is_served(10);
    // The kernel takes those that the server cannot.
    let sockets: Vec<_> = (0..200).map(|_| TcpStream::connect(&server.grpc).unwrap()).collect();
    let complaint = server.await_message("connections cannot be accepted").unwrap();
    assert!(complaint["error"].as_str().unwrap().contains("Too many open files"), "{complaint}");
    // Whoever is connected is served, also with what is written.
    bystander.is_served(10);
    drop(sockets);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut newcomer = server.client().await;
        newcomer.create_user(new_user("late")).await.unwrap();
    });
    bystander.leave();
    server.stop();
}
