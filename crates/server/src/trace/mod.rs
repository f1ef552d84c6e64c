//! Traces: what each call did and how long it took, as spans that go to a collector by OTLP.
//!
//! A call that is traced has a [`Span`], which is the [current] one of the thread as long as the thread works for the call
//! ([`Traced::in_span`]). Whoever does a piece of work asks for a [child] of it. A call that is not traced has none, so all
//! that tracing costs it is one look at a variable of the thread where it would begin a span.
//!
//! Spans name methods, commands and reasons, and never hold what was in a message. Only this module knows OpenTelemetry.

mod context;
mod export;
mod origins;
mod sampler;
mod span;
mod work;

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanContext, SpanKind, TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider, SpanExporter as _},
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::timeout};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

pub use self::{
    context::TraceId,
    export::TraceStats,
    origins::Origins,
    span::{Entered, Span, child, current},
    work::{Fault, InSpan, Traced, TracedResult},
};
use self::{context::parent_in, export::Export};

/// How long the collector may take to take in a batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last batches may take when the server stops.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Where spans go, and of which calls.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    /// The collector: `http://HOST:PORT`, or `https://`.
    pub endpoint: String,
    /// The CAs that may vouch for it, in PEM, instead of the system's.
    pub authority: Option<Vec<u8>>,
    /// The share of calls that are traced, 0 to 1, of those whose caller has not decided it.
    pub ratio: f64,
    /// Whether a caller that traces its own call, or not, decides that for ours.
    pub follow_caller: bool,
}

/// Begins traces; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer(SdkTracer);

/// What is known of the trace that a call belongs to.
#[derive(Clone, Debug, Default)]
pub struct CallTrace {
    /// For the log: the trace's id, whoever keeps the trace.
    pub id: Option<TraceId>,
    /// `None` if the call is not traced here.
    pub span: Option<Span>,
}

impl CallTrace {
    /// Takes up the trace that a caller names in its headers, or begins one, if there is a tracer and it is this call's
    /// turn. `name` is evaluated for a call that may be traced.
    pub fn begin(tracer: Option<&Tracer>, headers: &HeaderMap, name: impl FnOnce() -> &'static str) -> Self {
        let parent = parent_in(headers);
        let Some(Tracer(tracer)) = tracer else { return Self { id: parent.as_ref().map(TraceId::of), span: None } };
        let builder = SpanBuilder::from_name(name()).with_kind(SpanKind::Server);
        let span = Span::begin(tracer, builder, &under(parent.clone()));
        let id = span.as_ref().map(Span::trace_id).or_else(|| parent.as_ref().map(TraceId::of));
        Self { id, span }
    }
}

impl Tracer {
    /// A span for something that no call waits for, such as a mail that a call caused earlier.
    #[must_use]
    pub fn later(&self, name: &'static str, cause: Option<SpanContext>) -> Option<Span> {
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Client);
        // What the sampler said of the cause holds for what it has caused.
        Span::begin(&self.0, builder, &under(cause))
    }
}

/// A context in which a span has this parent.
fn under(parent: Option<SpanContext>) -> Context {
    match parent {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    }
}

/// Spans on their way to the collector.
#[derive(Debug)]
pub struct Tracing {
    /// Begins traces.
    pub tracer: Tracer,
    /// What became of spans.
    pub stats: TraceStats,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Tracing {
    /// Starts the task that exports, on this runtime. Connects to nothing yet: a collector that is away is waited for.
    ///
    /// # Errors
    /// What is wrong with the endpoint or the CA.
    pub fn start(options: &TraceOptions, runtime: &Handle) -> Result<Self, String> {
        let channel = {
            // The connection lives on it.
            let _inside = runtime.enter();
            channel(options).map_err(|error| error.to_string())?
        };
        let resource = Resource::builder()
            .with_service_name("roster")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let exporter = SpanExporter::builder().with_tonic().with_channel(channel).with_timeout(EXPORT_TIMEOUT);
        let mut exporter = exporter.build().map_err(|error| error.to_string())?;
        exporter.set_resource(&resource);
        let mut stats = TraceStats::default();
        let (queue, export) = Export::new(exporter, &mut stats);
        let sampler = sampler::sampler(options.ratio, options.follow_caller);
        let provider = SdkTracerProvider::builder().with_span_processor(queue).with_sampler(sampler);
        let tracer = Tracer(provider.with_resource(resource).build().tracer("roster"));
        let (stop, stopping) = watch::channel(false);
        let task = runtime.spawn(export.run(stopping));
        Ok(Self { tracer, stats, stop, task })
    }

    /// Exports what waits, within a few seconds.
    pub async fn flush(mut self) {
        self.stop.send_replace(true);
        if timeout(FLUSH_MAX, &mut self.task).await.is_err() {
            tracing::warn!("the collector of traces takes too long; spans were lost");
            self.task.abort();
        }
    }
}

fn channel(options: &TraceOptions) -> Result<Channel, tonic::transport::Error> {
    let mut endpoint = Endpoint::from_shared(options.endpoint.clone())?;
    if options.endpoint.starts_with("https:") {
        let tls = match &options.authority {
            Some(authority) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint.connect_timeout(EXPORT_TIMEOUT).timeout(EXPORT_TIMEOUT).connect_lazy())
}
