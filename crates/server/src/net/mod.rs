//! From socket to request: the threads that serve, the connections they hold, and their orderly end.
//!
//! One OS thread per worker, each with its own single-threaded runtime. A connection lives on one worker
//! for its whole life, so the responses of its concurrent calls share writes and no lock is contended;
//! tokio's work-stealing scheduler serves 0.5 to 0.6 times as many calls a second of processor time.
//! The price: a handler must never block its thread, and connections must be dealt out by load.
//!
//! This layer knows hyper but not tonic: a handler takes an HTTP request and gives an HTTP response.

mod accept;
mod certificate_name;
mod complaint;
mod connection;
mod drain;
mod load;
pub mod operator_socket;
mod peer;
mod preface;
mod stream;
mod tls;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    runtime::{self, Runtime},
    sync::{oneshot, watch},
};

use self::{
    accept::Doors,
    connection::Terms,
    drain::{Phase, STUCK_AFTER},
    worker::Worker,
};
pub use self::{
    drain::{DrainReport, DrainSignal, DrainSwitch},
    load::Stats,
    peer::Peer,
    tls::Acceptor,
};

/// Where connections are to come from.
#[derive(Debug)]
pub struct Listeners {
    /// The network.
    pub network: std::net::TcpListener,
    /// The TLS that is spoken there; `None` is plain text.
    pub tls: Option<Acceptor>,
    /// This machine's operator; see [`operator_socket`].
    pub operator: Option<std::os::unix::net::UnixListener>,
}

impl From<std::net::TcpListener> for Listeners {
    /// Plain text, from the network alone.
    fn from(network: std::net::TcpListener) -> Self {
        Self { network, tls: None, operator: None }
    }
}

/// What connections may use, and how long they may stay silent.
#[derive(Clone, Debug)]
pub struct NetOptions {
    /// Worker threads; zero counts as one.
    pub workers: usize,
    /// Open connections, over all workers; what comes above is closed at once.
    pub max_connections: usize,
    /// Time from the TCP handshake, TLS included, to a whole HTTP/2 preface or the first bytes of HTTP/1.1.
    pub preface_timeout: Duration,
    /// Time for the whole header of an HTTP/1.1 request; an idle connection is closed after it too.
    pub header_read_timeout: Duration,
    /// Streams that one HTTP/2 connection may have open; a client that knows the limit waits, another is refused.
    pub max_concurrent_streams: u32,
    /// Silence after which an HTTP/2 connection is pinged.
    pub keep_alive_interval: Duration,
    /// Time to answer the ping; then the connection is closed, whatever it was in the middle of.
    pub keep_alive_timeout: Duration,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: 10_000,
            preface_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(30),
            max_concurrent_streams: 1_000,
            keep_alive_interval: Duration::from_secs(60),
            keep_alive_timeout: Duration::from_secs(20),
        }
    }
}

/// Running workers and the thread that deals connections to them. Dropping it cuts everything at once.
#[derive(Debug)]
pub struct Net {
    local_addr: SocketAddr,
    background: runtime::Handle,
    phase: watch::Sender<Phase>,
    workers: Vec<Worker>,
    stats: Stats,
    /// Held to the end: its drop stops the background runtime.
    _stop: oneshot::Sender<()>,
}

/// Starts to serve on `listeners`, each worker with a handler of its own, which `handler` makes.
///
/// Every request becomes one call of the handler of the worker that holds its connection. A future that is
/// dropped before it ends was cancelled by the client or cut by a drain.
///
/// # Errors
/// When a listener cannot be made asynchronous, or a thread or its runtime cannot be started.
pub fn serve<H, Fut, B>(
    listeners: impl Into<Listeners>,
    options: NetOptions,
    drain: DrainSwitch,
    handler: impl Fn() -> H,
) -> io::Result<Net>
where
    H: Fn(Arc<Peer>, Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Listeners { network, tls, operator } = listeners.into();
    let local_addr = network.local_addr()?;
    network.set_nonblocking(true)?;
    let (phase, drain) = (drain.0.clone(), drain.signal());

    let max_connections = options.max_connections;
    let terms = Arc::new(Terms { options, tls });
    let workers = (0..terms.options.workers.max(1))
        .map(|index| worker::start(index, Arc::clone(&terms), drain.clone(), handler()))
        .collect::<io::Result<Vec<_>>>()?;
    let stats = Stats::new(workers.iter().map(|worker| Arc::clone(&worker.load)).collect());

    let runtime = single_threaded()?;
    let background = runtime.handle().clone();
    let doors = {
        let _entered = runtime.enter();
        let operator = operator.map(|listener| {
            listener.set_nonblocking(true)?;
            tokio::net::UnixListener::from_std(listener)
        });
        Doors { network: tokio::net::TcpListener::from_std(network)?, operator: operator.transpose()? }
    };
    let seats = workers.iter().map(Worker::seat).collect();
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::Builder::new().name("accept".into()).spawn(move || {
        runtime.block_on(async {
            accept::run(doors, seats, max_connections, &drain).await;
            // The listeners are closed; background tasks go on until the last call has ended.
            let _ = stopped.await;
        });
        runtime.shutdown_background();
    })?;

    Ok(Net { local_addr, background, phase, workers, stats, _stop: stop })
}

impl Net {
    /// The address that is served, with the port that the system chose for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Tells long-lived streams that the server is about to end; cheap to clone.
    #[must_use]
    pub fn drain_signal(&self) -> DrainSignal {
        DrainSignal(self.phase.subscribe())
    }

    /// Counters of connections and requests; cheap to clone.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats.clone()
    }

    /// The runtime of the accept thread, for the server's own tasks. They share it with the accept loop, so they
    /// must not block; they end when the drain has ended.
    #[must_use]
    pub fn background(&self) -> &runtime::Handle {
        &self.background
    }

    /// Ends in order: accepts nothing more, tells every client to go (GOAWAY), and waits for calls in flight.
    /// What is still open after `grace`, or when `hurry` ends before that, is cut, whatever its client does.
    ///
    /// Every worker gets a moment beyond `grace` to drop what it cuts; one that is stuck in blocking code is left
    /// behind, and its connections count as cut.
    pub async fn drain(self, grace: Duration, hurry: impl Future<Output = ()>) -> DrainReport {
        let start = Instant::now();
        self.phase.send_replace(Phase::Draining);
        // All queues close now, not one after the other.
        let ends: Vec<_> = self.workers.into_iter().map(Worker::close).collect();
        let mut ended = std::pin::pin!(async {
            for end in ends {
                // An error says that the thread has gone too.
                let _ = end.await;
            }
        });
        let in_time = tokio::select! {
            () = ended.as_mut() => true,
            () = tokio::time::sleep(grace) => false,
            () = hurry => false,
        };
        if !in_time {
            self.phase.send_replace(Phase::Cut);
            if tokio::time::timeout(STUCK_AFTER, ended).await.is_err() {
                tracing::error!("a worker thread is stuck in a call and is left behind");
            }
        }
        let (drained, cut) = self.stats.endings();
        DrainReport {
            connections_closed_gracefully: drained,
            connections_cut: cut + self.stats.connections(),
            took: start.elapsed(),
        }
    }
}

fn single_threaded() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_io().enable_time().build()
}
