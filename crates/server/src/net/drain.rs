//! The phases of a server's life, and the signal that carries them to every connection and stream.

use std::time::Duration;

use tokio::sync::watch;

/// What a worker gets beyond the grace period to drop what it cuts.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Where the server stands; it only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Connections come and go.
    Serving,
    /// Nothing new is taken; what is in flight may finish.
    Draining,
    /// Everything ends now.
    Cut,
}

/// Where a server's phase is kept. Made before the server, so that its handlers can hold the signal.
#[derive(Debug)]
pub struct DrainSwitch(pub(super) watch::Sender<Phase>);

impl DrainSwitch {
    /// A switch for a server that is yet to start.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    /// A handle for whoever must end with the server; cheap to clone.
    #[must_use]
    pub fn signal(&self) -> DrainSignal {
        DrainSignal(self.0.subscribe())
    }
}

impl Default for DrainSwitch {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells when the server begins to drain. Streams without an end of their own wait for it and close in order.
#[derive(Clone, Debug)]
pub struct DrainSignal(pub(super) watch::Receiver<Phase>);

impl DrainSignal {
    /// Whether the drain has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    /// Ends when the drain begins; at once if it has.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Ends when everything is to be cut.
    pub(super) async fn cut(&self) {
        self.reached(Phase::Cut).await;
    }

    async fn reached(&self, phase: Phase) {
        // An error says that the server was dropped, which is past every phase.
        let _ = self.0.clone().wait_for(|now| *now >= phase).await;
    }
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that ended by themselves within the grace period.
    pub connections_closed_gracefully: usize,
    /// Connections that were still open at its end.
    pub connections_cut: usize,
    /// Time from the first GOAWAY to the end of the last connection.
    pub took: Duration,
}
