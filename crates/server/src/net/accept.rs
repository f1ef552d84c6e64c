//! The accept loop: takes connections and deals each to the worker with the fewest.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{
    DrainSignal, Peer,
    load::{Load, OpenConnection},
};

/// The pause after a failed accept. Without descriptors every accept fails at once, so the loop must not spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);
/// At most one line about one kind of trouble in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// A connection on its way to its worker.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Bound to no runtime yet: the worker that gets it registers it with its own.
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: Arc<Peer>,
    pub(super) open: OpenConnection,
}

/// A worker, as the accept loop sees it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) load: Arc<Load>,
    pub(super) queue: mpsc::UnboundedSender<Accepted>,
}

/// Accepts until the drain begins. No error ends the loop.
pub(super) async fn run(listener: TcpListener, seats: Vec<Seat>, max_connections: usize, drain: &DrainSignal) {
    let mut failures = Complaint::default();
    let mut refusals = Complaint::default();
    let mut draining = std::pin::pin!(drain.draining());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = draining.as_mut() => return,
        };
        match accepted {
            Ok((stream, addr)) => {
                if !deal(stream, addr, &seats, max_connections)
                    && let Some(times) = refusals.due()
                {
                    tracing::warn!(max_connections, times, "connections refused: the limit is reached");
                }
            }
            Err(error) => {
                if let Some(times) = failures.due() {
                    tracing::warn!(%error, times, "connections cannot be accepted; trying on");
                }
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Gives the connection to the worker with the fewest; false if the limit is reached and it was closed.
fn deal(stream: TcpStream, addr: SocketAddr, seats: &[Seat], max_connections: usize) -> bool {
    let mut total = 0;
    let mut least: Option<((usize, usize), &Seat)> = None;
    for seat in seats {
        let weight = seat.load.weight();
        total += weight.0;
        if least.is_none_or(|(fewest, _)| weight < fewest) {
            least = Some((weight, seat));
        }
    }
    let Some((_, seat)) = least.filter(|_| total < max_connections) else { return false };

    // Without it, the kernel holds small responses back for the client's acknowledgement.
    // A failure of either call means that the client has gone already.
    if stream.set_nodelay(true).is_ok()
        && let Ok(stream) = stream.into_std()
    {
        // A worker only stops to take connections when the server ends, and then the connection is to close.
        let _ = seat.queue.send(Accepted { stream, peer: Arc::new(Peer { addr }), open: seat.load.connection() });
    }
    true
}

/// Says seldom what happens often.
#[derive(Debug, Default)]
struct Complaint {
    last: Option<Instant>,
    times: u64,
}

impl Complaint {
    /// Counts one more; when a line is due, how many times it happened since the one before.
    fn due(&mut self) -> Option<u64> {
        self.times += 1;
        if self.last.is_some_and(|last| last.elapsed() < COMPLAINT_INTERVAL) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.times))
    }
}
