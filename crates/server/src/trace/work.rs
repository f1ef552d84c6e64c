//! Futures that work for a span.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{Span, child};

/// How an error is told in a trace.
pub trait Fault {
    /// What kind of error it is, from a fixed set.
    fn kind(&self) -> &'static str;

    /// Whether it is the server that failed, rather than its caller.
    fn is_ours(&self) -> bool;
}

impl Span {
    /// Says what came of it, and ends it.
    pub fn conclude<T, E: Fault>(&self, result: &Result<T, E>) {
        if let Err(error) = result {
            self.set("error.type", error.kind());
            if error.is_ours() {
                self.fail();
            }
        }
        self.end();
    }
}

/// What any future can be told about spans.
pub trait Traced: Future + Sized {
    /// Does the work for a span, if there is one.
    fn in_span(self, span: Option<Span>) -> InSpan<Self> {
        InSpan { span, work: self }
    }

    /// Does the work as a part of the current span, if there is one.
    fn traced<T, E: Fault>(self, name: &'static str) -> TracedResult<Self>
    where
        Self: Future<Output = Result<T, E>>,
    {
        TracedResult { span: child(|| name), work: self }
    }
}

impl<F: Future> Traced for F {}

pin_project! {
    /// See [`Traced::in_span`].
    #[derive(Debug)]
    pub struct InSpan<F> {
        span: Option<Span>,
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.as_ref().map(Span::enter);
        this.work.poll(cx)
    }
}

pin_project! {
    /// See [`Traced::traced`].
    #[derive(Debug)]
    pub struct TracedResult<F> {
        span: Option<Span>,
        #[pin]
        work: F,
    }
}

impl<F: Future<Output = Result<T, E>>, T, E: Fault> Future for TracedResult<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(span) = this.span else { return this.work.poll(cx) };
        let polled = {
            let _entered = span.enter();
            this.work.poll(cx)
        };
        if let Poll::Ready(result) = &polled {
            span.conclude(result);
        }
        polled
    }
}
