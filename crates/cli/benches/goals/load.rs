//! A closed-loop load of gRPC calls on bare `h2`: cheap enough to leave the processor to the server.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use hdrhistogram::Histogram;
use http::{HeaderMap, Request};
use tokio::{net::TcpStream, task::JoinSet};

use crate::users::Random;

/// Threads that send; more would only take the processor from the server.
const THREADS: usize = 2;
/// Bytes that the server may send ahead on a stream and on a connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Latencies are told apart to one in a hundred, between a microsecond and a minute, in nanoseconds.
pub const LATENCY_RANGE: (u64, u64) = (1_000, 60_000_000_000);

/// Gives the next framed request, or none when there are no more.
pub type Requests = Arc<dyn Fn(&mut Random) -> Option<Bytes> + Send + Sync>;

/// Requests drawn at random from these.
pub fn any_of(requests: Vec<Bytes>) -> Requests {
    Arc::new(move |random| requests.get(random.below(requests.len().max(1))).cloned())
}

/// What to send, and how much of it at once.
#[derive(Clone)]
pub struct Load {
    pub addr: SocketAddr,
    /// Such as `/user.v1.UserService/GetUser`.
    pub path: &'static str,
    pub requests: Requests,
    pub connections: usize,
    /// Calls in flight on each connection.
    pub streams: usize,
    pub duration: Duration,
}

/// What came back.
pub struct Tally {
    pub calls: u64,
    /// Messages in all responses.
    pub messages: u64,
    pub errors: u64,
    pub first_error: Option<anyhow::Error>,
    /// Nanoseconds from a request to the end of its response.
    pub latency: Histogram<u64>,
    pub elapsed: Duration,
}

impl Load {
    /// Sends until the time is up or the requests are used up.
    ///
    /// # Errors
    /// When a connection cannot be made. A call that fails is counted, and ends its stream's loop.
    pub fn run(&self) -> anyhow::Result<Tally> {
        let start = Instant::now();
        let threads: Vec<_> = (0..THREADS.min(self.connections))
            .map(|thread| {
                let load = self.clone();
                let connections = (thread..self.connections).step_by(THREADS);
                std::thread::spawn(move || load.run_on_this_thread(connections))
            })
            .collect();
        let mut total = Tally::new()?;
        for thread in threads {
            let tally = thread.join().map_err(|_| anyhow!("a load thread panicked"))??;
            total.add(tally)?;
        }
        total.elapsed = start.elapsed();
        Ok(total)
    }

    fn run_on_this_thread(&self, connections: impl Iterator<Item = usize>) -> anyhow::Result<Tally> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let deadline = Instant::now() + self.duration;
            let mut loops = JoinSet::new();
            for connection in connections {
                let client = connect(self.addr).await?;
                for stream in 0..self.streams {
                    let random = Random::new((connection * self.streams + stream) as u64);
                    loops.spawn(closed_loop(self.clone(), client.clone(), deadline, random));
                }
            }
            let mut total = Tally::new()?;
            while let Some(tally) = loops.join_next().await {
                total.add(tally??)?;
            }
            Ok(total)
        })
    }
}

pub async fn connect(addr: SocketAddr) -> anyhow::Result<SendRequest<Bytes>> {
    let stream = TcpStream::connect(addr).await.with_context(|| format!("no connection to {addr}"))?;
    stream.set_nodelay(true)?;
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(stream)
        .await?;
    tokio::spawn(connection);
    Ok(client)
}

/// One call after the other.
async fn closed_loop(
    load: Load,
    mut client: SendRequest<Bytes>,
    deadline: Instant,
    mut random: Random,
) -> anyhow::Result<Tally> {
    let request = Request::post(format!("http://{}{}", load.addr, load.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let mut tally = Tally::new()?;
    loop {
        let start = Instant::now();
        if start >= deadline {
            return Ok(tally);
        }
        let Some(message) = (load.requests)(&mut random) else { return Ok(tally) };
        match call(&mut client, request.clone(), message).await {
            Ok(messages) => {
                tally.calls += 1;
                tally.messages += messages;
                tally.latency.saturating_record(start.elapsed().as_nanos() as u64);
            }
            Err(error) => {
                tally.errors += 1;
                tally.first_error = Some(error);
                return Ok(tally);
            }
        }
    }
}

/// One call to its end; how many messages the response had.
async fn call(client: &mut SendRequest<Bytes>, request: Request<()>, message: Bytes) -> anyhow::Result<u64> {
    let (headers, messages) = answer(client, request, message).await?;
    check_status(&headers)?;
    Ok(messages)
}

/// One call to its end; the number of its status.
pub async fn status_of_call(
    mut client: SendRequest<Bytes>,
    request: Request<()>,
    message: Bytes,
) -> anyhow::Result<u16> {
    let (headers, _) = answer(&mut client, request, message).await?;
    Ok(headers.get("grpc-status").context("the response has no grpc-status")?.to_str()?.parse()?)
}

/// The headers that hold the status, and how many messages the response had.
async fn answer(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    message: Bytes,
) -> anyhow::Result<(HeaderMap, u64)> {
    poll_fn(|cx| client.poll_ready(cx)).await?;
    let (response, mut upload) = client.send_request(request, false)?;
    upload.send_data(message, true)?;
    let (head, mut body) = response.await?.into_parts();
    ensure!(head.status == 200, "HTTP status {}", head.status);
    let mut messages = MessageCounter::default();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        messages.feed(&chunk);
        body.flow_control().release_capacity(chunk.len())?;
    }
    Ok((body.trailers().await?.unwrap_or(head.headers), messages.count))
}

fn check_status(headers: &HeaderMap) -> anyhow::Result<()> {
    match headers.get("grpc-status").map(|status| status.as_bytes()) {
        Some(b"0") => Ok(()),
        Some(status) => bail!("grpc-status {}: {:?}", status.escape_ascii(), headers.get("grpc-message")),
        None => bail!("the response has no grpc-status"),
    }
}

/// Counts gRPC messages in a body, however it is cut.
#[derive(Default)]
struct MessageCounter {
    count: u64,
    header: [u8; 5],
    header_len: usize,
    rest: usize,
}

impl MessageCounter {
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            let taken = (self.header.len() - self.header_len).min(bytes.len());
            self.header[self.header_len..self.header_len + taken].copy_from_slice(&bytes[..taken]);
            self.header_len += taken;
            bytes = &bytes[taken..];
            if let [_, a, b, c, d] = self.header
                && self.header_len == self.header.len()
            {
                self.count += 1;
                self.header_len = 0;
                self.rest = u32::from_be_bytes([a, b, c, d]) as usize;
            }
        }
    }
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        let latency = Histogram::new_with_bounds(LATENCY_RANGE.0, LATENCY_RANGE.1, 2)?;
        Ok(Self { calls: 0, messages: 0, errors: 0, first_error: None, latency, elapsed: Duration::ZERO })
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.calls += other.calls;
        self.messages += other.messages;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        Ok(self.latency.add(other.latency)?)
    }
}
