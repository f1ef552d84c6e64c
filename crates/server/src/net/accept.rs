//! The accept loop: takes connections and deals each to the worker with the fewest.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::mpsc,
};

use super::{
    DrainSignal,
    complaint::Complaint,
    load::{Load, OpenConnection},
};

/// The pause after a failed accept. Without descriptors every accept fails at once, so the loop must not spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);

/// A connection on its way to its worker.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: Socket,
    pub(super) open: OpenConnection,
}

/// A socket, bound to no runtime yet: the worker that gets it registers it with its own.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(std::net::TcpStream, SocketAddr),
    /// This machine's operator.
    Operator(std::os::unix::net::UnixStream),
}

/// A worker, as the accept loop sees it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) load: Arc<Load>,
    pub(super) queue: mpsc::UnboundedSender<Accepted>,
}

/// Where connections come from.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) network: TcpListener,
    pub(super) operator: Option<UnixListener>,
}

/// Somebody at a door.
enum Arrival {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Doors {
    async fn accept(&self) -> io::Result<Arrival> {
        let Some(operator) = &self.operator else {
            return self.network.accept().await.map(|(stream, addr)| Arrival::Tcp(stream, addr));
        };
        tokio::select! {
            accepted = self.network.accept() => accepted.map(|(stream, addr)| Arrival::Tcp(stream, addr)),
            accepted = operator.accept() => accepted.map(|(stream, _)| Arrival::Unix(stream)),
        }
    }
}

/// Accepts until the drain begins. No error ends the loop.
pub(super) async fn run(doors: Doors, seats: Vec<Seat>, max_connections: usize, drain: &DrainSignal) {
    let (failures, refusals, strangers) = (Complaint::default(), Complaint::default(), Complaint::default());
    let mut draining = std::pin::pin!(drain.draining());
    loop {
        let accepted = tokio::select! {
            accepted = doors.accept() => accepted,
            () = draining.as_mut() => return,
        };
        match accepted {
            Ok(Arrival::Tcp(stream, addr)) => {
                if !deal(stream, addr, &seats, max_connections)
                    && let Some(times) = refusals.due()
                {
                    tracing::warn!(max_connections, times, "connections refused: the limit is reached");
                }
            }
            Ok(Arrival::Unix(stream)) => {
                if !admit_operator(stream, &seats)
                    && let Some(times) = strangers.due()
                {
                    tracing::warn!(times, "another user of this machine was refused at the operator's socket");
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

/// The worker with the fewest connections, and how many all have.
fn least_busy(seats: &[Seat]) -> (Option<&Seat>, usize) {
    let mut total = 0;
    let mut least: Option<((usize, usize), &Seat)> = None;
    for seat in seats {
        let weight = seat.load.weight();
        total += weight.0;
        if least.is_none_or(|(fewest, _)| weight < fewest) {
            least = Some((weight, seat));
        }
    }
    (least.map(|(_, seat)| seat), total)
}

/// Gives the connection to the worker with the fewest; false if the limit is reached and it was closed.
fn deal(stream: TcpStream, addr: SocketAddr, seats: &[Seat], max_connections: usize) -> bool {
    let (Some(seat), total) = least_busy(seats) else { return false };
    if total >= max_connections {
        return false;
    }
    // Without it, the kernel holds small responses back for the client's acknowledgement.
    // A failure of either call means that the client has gone already.
    if stream.set_nodelay(true).is_ok()
        && let Ok(stream) = stream.into_std()
    {
        seat.take(Socket::Tcp(stream, addr));
    }
    true
}

/// Gives an operator's connection to a worker, whatever the limit: who is to mend a full server must get in.
/// False if whoever connected is another user of this machine.
fn admit_operator(stream: UnixStream, seats: &[Seat]) -> bool {
    // An error means that the client has gone already.
    let Ok(credentials) = stream.peer_cred() else { return true };
    if !may_operate(credentials.uid(), rustix::process::geteuid().as_raw()) {
        return false;
    }
    if let (Some(seat), _) = least_busy(seats)
        && let Ok(stream) = stream.into_std()
    {
        seat.take(Socket::Operator(stream));
    }
    true
}

/// Whether this user may do everything on a server that runs as `ours`.
fn may_operate(user: u32, ours: u32) -> bool {
    user == ours || user == 0
}

impl Seat {
    fn take(&self, socket: Socket) {
        // A worker only stops to take connections when the server ends, and then the connection is to close.
        let _ = self.queue.send(Accepted { socket, open: self.load.connection() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_user_and_root_are_operators_and_nobody_else() {
        assert!(may_operate(1000, 1000) && may_operate(0, 1000) && may_operate(0, 0));
        assert!(!may_operate(1001, 1000) && !may_operate(1000, 0));
    }
}
