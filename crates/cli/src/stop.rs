//! What ends a command that would go on for ever.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Whoever may ask such a command to end.
pub enum Stop {
    /// Whoever started the process: SIGINT or SIGTERM.
    Signals(Signal, Signal),
    /// The demo, whose process goes on.
    Demo(oneshot::Receiver<()>),
}

impl Stop {
    /// Signals, caught from now on.
    pub fn on_signals() -> io::Result<Self> {
        Ok(Self::Signals(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    /// Waits until it is asked.
    pub async fn asked(&mut self) {
        match self {
            Self::Signals(interrupt, terminate) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            Self::Demo(told) => {
                // A demo that is gone needs it no more either.
                let _ = told.await;
            }
        }
    }
}
