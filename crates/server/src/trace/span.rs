//! A span, and the one that a thread works for.

use std::{
    borrow::Cow,
    cell::RefCell,
    fmt,
    marker::PhantomData,
    sync::Arc,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

use super::TraceId;

/// A piece of work under way, or done. It ends when it is told to, or with its last handle.
#[derive(Clone)]
pub struct Span(Arc<Inner>);

struct Inner {
    tracer: SdkTracer,
    /// Has the span.
    context: Context,
}

impl Span {
    /// Begins a span, if the sampler wants it.
    pub(super) fn begin(tracer: &SdkTracer, builder: SpanBuilder, parent: &Context) -> Option<Self> {
        let span = tracer.build_with_context(builder, parent);
        if !opentelemetry::trace::Span::is_recording(&span) {
            return None;
        }
        Some(Self(Arc::new(Inner { tracer: tracer.clone(), context: Context::new().with_span(span) })))
    }

    /// A part of it that begins now.
    #[must_use]
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Self {
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Internal);
        let Inner { tracer, context } = &*self.0;
        // Whatever is below a span that is kept is kept.
        let span = tracer.build_with_context(builder, context);
        Self(Arc::new(Inner { tracer: tracer.clone(), context: Context::new().with_span(span) }))
    }

    /// A part of it that is over already.
    pub fn record(&self, name: &'static str, from: Instant, to: Instant) {
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_start_time(time_of(from));
        let mut span = self.0.tracer.build_with_context(builder, &self.0.context);
        opentelemetry::trace::Span::end_with_timestamp(&mut span, time_of(to));
    }

    /// Says more of it. Never what was in a message.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.0.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// Says that it failed.
    pub fn fail(&self) {
        self.0.context.span().set_status(Status::error(""));
    }

    /// Ends it, if that was not done before.
    pub fn end(&self) {
        self.0.context.span().end();
    }

    /// Makes it the current one of this thread until what this gives is dropped.
    #[must_use]
    pub fn enter(&self) -> Entered {
        Entered { before: CURRENT.replace(Some(self.clone())), here: PhantomData }
    }

    /// The trace that it belongs to.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        TraceId::of(self.0.context.span().span_context())
    }

    /// What later work names as its cause.
    #[must_use]
    pub fn context(&self) -> SpanContext {
        self.0.context.span().span_context().clone()
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({})", self.trace_id())
    }
}

/// A moment of the past by the wall clock.
fn time_of(moment: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(moment.elapsed()).unwrap_or(now)
}

thread_local! {
    static CURRENT: RefCell<Option<Span>> = const { RefCell::new(None) };
}

/// The span that this thread works for.
#[must_use]
pub fn current() -> Option<Span> {
    CURRENT.with_borrow(Clone::clone)
}

/// A part of it that begins now. The name is asked for only if there is one.
#[must_use]
pub fn child<N: Into<Cow<'static, str>>>(name: impl FnOnce() -> N) -> Option<Span> {
    CURRENT.with_borrow(|current| current.as_ref().map(|current| current.child(name())))
}

/// A span is the current one of its thread as long as this is there.
#[derive(Debug)]
pub struct Entered {
    before: Option<Span>,
    /// Stays on its thread.
    here: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let after = CURRENT.replace(self.before.take());
        // Its last handle may end it, and nothing is borrowed by then.
        drop(after);
    }
}
