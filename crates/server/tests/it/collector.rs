//! A collector of traces that speaks OTLP over gRPC, and keeps what comes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Identity, Server, ServerTlsConfig},
};

use crate::pki::Pair;

/// The collector. Dropping it closes its port.
pub struct Collector {
    addr: SocketAddr,
    kept: Kept,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// One on a free port.
    pub async fn start() -> Self {
        Self::behind(Server::builder()).await
    }

    /// One that speaks TLS.
    pub async fn with_certificate(pair: &Pair) -> Self {
        let identity = Identity::from_pem(&pair.certificate, &pair.key);
        Self::behind(Server::builder().tls_config(ServerTlsConfig::new().identity(identity)).unwrap()).await
    }

    async fn behind(mut server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, kept) = (listener.local_addr().unwrap(), Kept::default());
        let service = TraceServiceServer::new(kept.clone());
        let serve = server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        Self { addr, kept, task: tokio::spawn(async { serve.await.unwrap() }) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// All spans that have come.
    pub fn spans(&self) -> Vec<Seen> {
        let requests = self.kept.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let spans = resources.flat_map(|resource| {
            let service = resource.resource.as_ref().map(|resource| text_of(&resource.attributes, "service.name"));
            assert_eq!(service.as_deref(), Some("roster"));
            resource.scope_spans.iter().flat_map(|scope| &scope.spans)
        });
        spans.cloned().map(Seen).collect()
    }

    /// Everything that has come, for who looks for what should not be in it.
    pub fn text(&self) -> String {
        format!("{:?}", self.kept.0.lock().unwrap())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A span that came.
#[derive(Clone, Debug)]
pub struct Seen(pub Span);

impl Seen {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The trace it is in, in hexadecimal.
    pub fn trace(&self) -> String {
        hex(&self.0.trace_id)
    }

    /// The span that it is a part of, in hexadecimal; empty if it is a part of none.
    pub fn parent(&self) -> String {
        hex(&self.0.parent_span_id)
    }

    /// Its own id, in hexadecimal.
    pub fn id(&self) -> String {
        hex(&self.0.span_id)
    }

    /// An attribute as text; empty if it is not there.
    pub fn attribute(&self, key: &str) -> String {
        text_of(&self.0.attributes, key)
    }

    /// Whether it says that it failed.
    pub fn has_failed(&self) -> bool {
        self.0.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
    }

    /// Whether it is a call that came from outside.
    pub fn is_call(&self) -> bool {
        self.0.kind() == SpanKind::Server
    }
}

/// The names of the spans that are parts of this one, as a path of names starts with it, in order.
pub fn tree(spans: &[Seen], root: &Seen) -> Vec<String> {
    let mut children: Vec<_> = spans.iter().filter(|span| span.parent() == root.id()).collect();
    children.sort_by_key(|span| (span.0.start_time_unix_nano, span.0.end_time_unix_nano));
    let below = children.into_iter().flat_map(|child| tree(spans, child));
    let below = below.map(|path| format!("{} > {path}", root.name()));
    std::iter::once(root.name().to_owned()).chain(below).collect()
}

fn text_of(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
