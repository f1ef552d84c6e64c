//! What comes in: request bodies, within a budget of memory and time that all calls share.
//!
//! A message is decoded only when all of it is there, so bytes of unfinished messages add up. Small
//! ones always pass; the rest of a large one is taken only while the budget lasts.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::{own::Own, status};
use crate::ops::Reason;

/// Bytes of a body that are not counted.
const FREE_BYTES: usize = 64 * 1024;
/// Bytes of all bodies under way together, beyond those.
const BUDGET_BYTES: usize = 256 * 1024 * 1024;
/// How long a body that has begun may pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How a body comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upload {
    /// Without long pauses.
    Prompt,
    /// With pauses for ever, as the requests of a long stream do.
    Patient,
    /// The same, and nothing is counted: small messages that are forgotten as they come. Whoever reads it takes none of
    /// more than [`FREE_BYTES`].
    Endless,
    /// Rows, as many as the client has: the same, but a row may be larger.
    Rows,
}

/// Bytes of a row. A user has at most a fiftieth of that.
const ROW_MAX_BYTES: usize = 1024 * 1024;

impl Upload {
    /// Bytes of a message, if there are to be fewer than the server takes anywhere.
    pub(super) fn message_max(self) -> Option<usize> {
        match self {
            Self::Prompt | Self::Patient => None,
            Self::Endless => Some(FREE_BYTES),
            Self::Rows => Some(ROW_MAX_BYTES),
        }
    }
}

/// The budget: bytes left, for all workers together.
#[derive(Debug)]
pub(super) struct Intake(Own<AtomicUsize>);

impl Intake {
    pub(super) fn new() -> Self {
        Self(Own::new(Arc::new(AtomicUsize::new(BUDGET_BYTES))))
    }

    /// The same budget for one more worker.
    pub(super) fn for_worker(&self) -> Self {
        Self(self.0.for_worker())
    }

    /// The body, counted.
    pub(super) fn meter<B>(&self, inner: B, upload: Upload) -> Metered<B> {
        Metered { inner, budget: self.0.clone(), seen: 0, held: 0, upload, pause: None }
    }
}

/// A body that takes from the budget what it brings in, and gives it back at its end.
pub(super) struct Metered<B> {
    inner: B,
    budget: Own<AtomicUsize>,
    seen: usize,
    held: usize,
    upload: Upload,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> Metered<B> {
    fn take(&mut self, bytes: usize) -> Result<(), Status> {
        if self.upload.message_max().is_some() {
            return Ok(());
        }
        self.seen += bytes;
        let wanted = self.seen.saturating_sub(FREE_BYTES) - self.held;
        if wanted > 0 {
            let left = self.budget.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(wanted));
            left.map_err(|_| status::intake_full())?;
            self.held += wanted;
        }
        Ok(())
    }

    fn pauses_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        self.upload == Upload::Prompt
            && self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE_MAX))).as_mut().poll(cx).is_ready()
    }
}

impl<B> Drop for Metered<B> {
    fn drop(&mut self) {
        if self.held > 0 {
            self.budget.fetch_add(self.held, Ordering::Relaxed);
        }
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.pause = None;
                let taken = self.take(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(taken.map(|()| frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.pauses_too_long(cx) => {
                let status = status::of_reason(Reason::RequestStalled, "the request's message did not go on");
                Poll::Ready(Some(Err(status)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
