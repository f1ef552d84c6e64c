//! What to do when a connection breaks in the middle.

use std::time::Duration;

use roster_api::Error;
use tonic::Code;

/// Times in a row that a connection may break without anything having come over it.
const TRIES_MAX: u32 = 8;
/// The pause before the first of them; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// Counts what was tried.
#[derive(Debug, Default)]
pub struct Retry {
    tried: u32,
}

impl Retry {
    /// Something came over the connection.
    pub fn progressed(&mut self) {
        self.tried = 0;
    }

    /// Waits before the next try; gives the error back if another would be in vain.
    pub async fn pause(&mut self, error: Error) -> Result<(), Error> {
        if self.tried >= TRIES_MAX || !is_passing(&error) {
            return Err(error);
        }
        let pause = PAUSE.saturating_mul(1 << self.tried).min(PAUSE_MAX);
        self.tried += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether it is the connection or the server's state that failed, and not the call.
fn is_passing(error: &Error) -> bool {
    match error.reason() {
        Some(reason) => {
            ["SHUTTING_DOWN", "STORE_UNAVAILABLE", "OVERLOADED", "QUEUE_FULL", "IMPORT_RUNNING"].contains(&reason)
        }
        None => {
            [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled, Code::DataLoss].contains(&error.code())
        }
    }
}
