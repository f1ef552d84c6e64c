//! Counters of what is open and in flight, kept per worker so that no two threads fight for a cache line.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// What one worker carries. Aligned to two cache lines, because processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Load {
    connections: AtomicUsize,
    accepted: AtomicU64,
    requests: AtomicUsize,
    served: AtomicU64,
    drained: AtomicUsize,
    cut: AtomicUsize,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Before any drain: the client closed, a timeout passed, or a limit was broken.
    ByItself,
    /// During the drain, with nothing left in flight.
    Drained,
    /// At the end of the drain's grace period.
    Cut,
}

impl Load {
    /// What connections are dealt by: the least first.
    pub(super) fn weight(&self) -> (usize, usize) {
        (self.connections.load(Relaxed), self.requests.load(Relaxed))
    }

    /// Counts a connection until the answer is dropped.
    pub(super) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Relaxed);
        self.accepted.fetch_add(1, Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Counts a request until the answer is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Counts how a connection ended.
    pub(super) fn ended(&self, ending: Ending) {
        match ending {
            Ending::ByItself => {}
            Ending::Drained => _ = self.drained.fetch_add(1, Relaxed),
            Ending::Cut => _ = self.cut.fetch_add(1, Relaxed),
        }
    }
}

/// A counted connection.
#[derive(Debug)]
pub(super) struct OpenConnection(pub(super) Arc<Load>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// A counted request.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Load>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
        self.0.served.fetch_add(1, Relaxed);
    }
}

/// Counters of a running server.
#[derive(Clone, Debug)]
pub struct Stats(Arc<[Arc<Load>]>);

impl Stats {
    pub(super) fn new(loads: Vec<Arc<Load>>) -> Self {
        Self(loads.into())
    }

    /// Connections that a drain ended in order, and those that it cut.
    pub(super) fn endings(&self) -> (usize, usize) {
        self.0
            .iter()
            .fold((0, 0), |(drained, cut), load| (drained + load.drained.load(Relaxed), cut + load.cut.load(Relaxed)))
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.iter().map(|load| load.connections.load(Relaxed)).sum()
    }

    /// Connections that were taken since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.0.iter().map(|load| load.accepted.load(Relaxed)).sum()
    }

    /// Open connections of each worker.
    #[must_use]
    pub fn connections_by_worker(&self) -> Vec<usize> {
        self.0.iter().map(|load| load.connections.load(Relaxed)).collect()
    }

    /// Requests whose response has not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.iter().map(|load| load.requests.load(Relaxed)).sum()
    }

    /// Requests that have ended, in whatever way, since the start.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.0.iter().map(|load| load.served.load(Relaxed)).sum()
    }
}

pin_project! {
    /// A response's body that keeps its request counted until its last byte has been handed on.
    #[derive(Debug)]
    pub(super) struct Counted<B> {
        #[pin]
        body: B,
        in_flight: Option<InFlight>,
    }
}

pin_project! {
    /// A response to come, whose request is counted. Written out because an async block would hold the response's
    /// future twice, and be moved with both.
    pub(super) struct CountedResponse<F> {
        #[pin]
        response: F,
        // `None` once the response has it.
        in_flight: Option<InFlight>,
    }
}

impl<F> CountedResponse<F> {
    pub(super) fn new(response: F, in_flight: InFlight) -> Self {
        Self { response, in_flight: Some(in_flight) }
    }
}

impl<F: Future<Output = Response<B>>, B> Future for CountedResponse<F> {
    type Output = Result<Response<Counted<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx));
        let in_flight = this.in_flight.take();
        Poll::Ready(Ok(response.map(|body| Counted { body, in_flight })))
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
