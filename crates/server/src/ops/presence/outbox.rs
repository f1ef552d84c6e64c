//! What goes out on a stream that a task fills: a short queue, with room kept for the stream's end.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::mpsc::{self, OwnedPermit};
use tokio_stream::Stream;

use crate::ops::Error;

/// Messages that wait for the caller to read them.
const WAITING_MAX: usize = 64;

/// How a stream ends early.
#[derive(Debug)]
pub enum End<E> {
    /// By our decision.
    Error(Error),
    /// By what came in.
    Inbound(E),
}

impl<E> From<Error> for End<E> {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The end of the queue that the task has.
pub(super) struct Outbox<T, E> {
    queue: mpsc::Sender<Result<T, End<E>>>,
    /// So that a caller who does not read holds up no task.
    for_end: Option<OwnedPermit<Result<T, End<E>>>>,
}

/// What is said once more before a stream is cut from outside, if it is asked for and there is something.
type LastWords<T> = Box<dyn Fn() -> Option<T> + Send>;

/// The end of the queue that the caller reads. The task ends when it is dropped.
pub struct Outputs<T, E> {
    queue: mpsc::Receiver<Result<T, End<E>>>,
    last_words: Option<LastWords<T>>,
}

impl<T, E> Outputs<T, E> {
    /// Looks for last words, before anything else, whenever it is read.
    pub(super) fn with_last_words(self, words: impl Fn() -> Option<T> + Send + 'static) -> Self {
        Self { last_words: Some(Box::new(words)), ..self }
    }
}

impl<T, E> Outbox<T, E> {
    /// An empty queue.
    pub(super) fn new() -> (Self, Outputs<T, E>) {
        let (queue, receiver) = mpsc::channel(WAITING_MAX + 1);
        // There is one: the channel is new.
        let for_end = queue.clone().try_reserve_owned().ok();
        (Self { queue, for_end }, Outputs { queue: receiver, last_words: None })
    }

    /// Puts a message in when there is room; `false` if nobody reads any more.
    pub(super) async fn send(&self, message: T) -> bool {
        self.queue.send(Ok(message)).await.is_ok()
    }

    /// Puts a message in if there is room.
    pub(super) fn send_if_room(&self, message: T) {
        // What does not fit is not that important.
        let _ = self.queue.try_send(Ok(message));
    }

    /// Waits until nobody reads any more.
    pub(super) async fn unread(&self) {
        self.queue.closed().await;
    }

    /// Ends the stream after what waits.
    pub(super) fn end(self, result: Result<(), End<E>>) {
        if let (Err(end), Some(permit)) = (result, self.for_end) {
            permit.send(Err(end));
        }
    }
}

// Nothing in it is pinned.
impl<T, E> Unpin for Outputs<T, E> {}

impl<T, E> Stream for Outputs<T, E> {
    type Item = Result<T, End<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(words) = self.last_words.as_ref().and_then(|words| words()) {
            self.last_words = None;
            return Poll::Ready(Some(Ok(words)));
        }
        self.queue.poll_recv(cx)
    }
}
