//! Sessions whose caller has gone in the middle: what still runs on them is ended, and they go back to the pool.
//!
//! To close them instead would be simpler, and would let a client that gives up again and again have the server make
//! connections without end. So the session stays out of the pool until the server has said that nothing runs on it any
//! more; calls that wait for a connection wait for that too.
//!
//! A cancellation cannot be aimed at a statement: it hits whatever runs when it comes. So none is sent once a `COMMIT` is on
//! its way. One that is hit while it waits for a synchronous standby is answered as done, though the standby does not have
//! it; and before the next statement may begin, an answer of the server has to show that the signal has come and gone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    database::{Database, PooledSession},
    session::Backend,
    value::params,
};
use crate::store::StoreError;

/// What has not ended by itself after this is cancelled. Most has.
const GRACE: Duration = Duration::from_millis(20);
/// How long the server may take to end what was cancelled.
const CANCELLED_MAX: Duration = Duration::from_secs(10);
/// How long a commit may take that nobody waits for. A standby that it waits for may be away for long; closing the
/// connection would not end the wait, and the next one would take up one more of the server's.
const COMMIT_MAX: Duration = Duration::from_mins(5);
/// How often it is looked meanwhile whether the server still knows of it. One that is frozen, or whose place another has
/// taken, must not keep the places of the pool for that long.
const LOOK: Duration = Duration::from_secs(5);
/// Cancellations under way at once.
pub(super) const CANCELS_AT_ONCE: usize = 2;

/// What a session is at that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// In a transaction, before its commit was sent.
    Open,
    /// At a statement that is its own transaction and only reads, or that is yet to be prepared.
    Alone,
    /// At something that ends with its commit.
    Committing,
    /// At something that commits and then begins another transaction.
    Numbering,
}

impl Left {
    /// What leaves no transaction behind it, nor a warning in the server's log.
    fn end(self) -> &'static str {
        match self {
            Self::Open | Self::Numbering => "ROLLBACK",
            Self::Alone | Self::Committing => "",
        }
    }

    fn may_be_cancelled(self) -> bool {
        matches!(self, Self::Open | Self::Alone)
    }
}

/// Ends what runs on the session, and gives it back; closes it if that takes too long.
pub(super) async fn settle(database: Arc<Database>, session: PooledSession, left: Left) {
    if !ends(&database, &session, left).await {
        // Into the void: what the server still does on it, it does not find its client any more when it looks.
        drop(PooledSession::take(session));
    }
}

/// Whether the session can be used again.
async fn ends(database: &Database, session: &PooledSession, left: Left) -> bool {
    let end = left.end();
    // Answered when all before it is.
    let mut rest = std::pin::pin!(session.batch_execute(end));
    if let Ok(ended) = timeout(GRACE, &mut rest).await {
        return ended.is_ok();
    }
    if !left.may_be_cancelled() {
        let begun = Instant::now();
        while begun.elapsed() < COMMIT_MAX {
            match timeout(LOOK, &mut rest).await {
                Ok(ended) => return ended.is_ok(),
                Err(_) if is_known(database, session.backend).await => {}
                Err(_) => return false,
            }
        }
        return false;
    }
    let cancelled = async {
        cancel(database, session.backend).await?;
        // The signal may have hit this very message.
        let ended = rest.await.is_ok();
        session.batch_execute(if ended { "" } else { end }).await.map_err(StoreError::from)
    };
    timeout(CANCELLED_MAX, cancelled).await.is_ok_and(|ended| ended.is_ok())
}

/// Whether the server that is asked now knows the backend.
async fn is_known(database: &Database, backend: Backend) -> bool {
    const SQL: &str = "SELECT TRUE FROM pg_stat_activity
         WHERE pid = $1::BIGINT AND (extract(epoch FROM backend_start) * 1000000)::BIGINT = $2";
    database.point(SQL, params![backend.pid, backend.started]).await.is_ok_and(|row| row.is_some())
}

/// Has the server signal the backend, on a connection that is there anyway: a request to cancel as the protocol has it is a
/// new connection each time, and nobody hears when the signal has been sent.
async fn cancel(database: &Database, backend: Backend) -> Result<(), StoreError> {
    const SQL: &str = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
         WHERE pid = $1::BIGINT AND (extract(epoch FROM backend_start) * 1000000)::BIGINT = $2 AND state = 'active'";
    let _turn = database.cancels().acquire().await;
    database.point(SQL, params![backend.pid, backend.started]).await.map(drop)
}
