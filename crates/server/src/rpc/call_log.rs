//! One line a call, when it is over: method, status, duration, request id, trace, caller. Never what was in it. And the
//! call's span, which begins and ends with it.

use std::{borrow::Cow, time::Instant};

use http::HeaderMap;
use roster_api::access::Method;
use tonic::Code;

use super::call_stats::name_of;
use crate::{
    auth::Caller,
    net::Peer,
    ops::RequestId,
    trace::{CallTrace, Span, Tracer},
};

/// Bytes of a method's path that are logged.
const METHOD_MAX_BYTES: usize = 200;

/// What is known of a call when it starts. Logs when it is finished, or dropped before that.
#[derive(Debug)]
pub(super) struct CallRecord {
    method: Cow<'static, str>,
    request_id: RequestId,
    caller: Caller,
    peer: Peer,
    started: Instant,
    trace: CallTrace,
    logged: bool,
    finished: bool,
}

impl CallRecord {
    /// A record if anybody will read it. The caller is nobody until [`Self::set_caller`] says who it is.
    pub(super) fn start(
        (path, method): (&str, Option<&'static Method>),
        headers: &HeaderMap,
        request_id: &RequestId,
        peer: &Peer,
        tracer: Option<&Tracer>,
    ) -> Option<Box<Self>> {
        let logged = tracing::enabled!(target: "roster::call", tracing::Level::INFO);
        if !logged && tracer.is_none() {
            return None;
        }
        // By OpenTelemetry's conventions, and no text from outside.
        let name = || method.map_or("_OTHER", |method| method.path.trim_start_matches('/'));
        let trace = CallTrace::begin(tracer, headers, name);
        if let Some(span) = &trace.span {
            span.set("rpc.system.name", "grpc");
            span.set("rpc.method", name());
            span.set("roster.request_id", request_id.as_str().to_owned());
        }
        // The path of no method can be of any length.
        let short = || path[..path.floor_char_boundary(METHOD_MAX_BYTES)].to_owned();
        let method = method.map_or_else(|| Cow::Owned(short()), |method| Cow::Borrowed(method.path));
        let (caller, peer, request_id) = (Caller::Anonymous, peer.clone(), request_id.clone());
        let started = Instant::now();
        let record = Self { method, request_id, caller, peer, started, trace, logged, finished: false };
        (logged || record.trace.span.is_some()).then(|| Box::new(record))
    }

    /// Who calls, once that is known.
    pub(super) fn set_caller(&mut self, caller: &Caller) {
        self.caller = caller.clone();
    }

    /// The call's span, if it is traced.
    pub(super) fn span(&self) -> Option<&Span> {
        self.trace.span.as_ref()
    }

    /// Writes the line, and ends the span.
    pub(super) fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if let Some(span) = &self.trace.span {
            span.set("rpc.response.status_code", name_of(code));
            span.set("roster.caller", self.caller.actor().to_string());
            if is_ours(code) {
                span.set("error.type", name_of(code));
                span.fail();
            }
            span.end();
        }
        if !self.logged {
            return;
        }
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "roster::call",
            method = &*self.method,
            status = ?code,
            duration_us,
            request_id = self.request_id.as_str(),
            trace_id = self.trace.id.map(tracing::field::display),
            caller = %self.caller.actor(),
            peer = %self.peer,
        );
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        // The client reset the stream or went away.
        self.finish(Code::Cancelled);
    }
}

/// Whether a call that ends so has failed as far as the server goes, by
/// [OpenTelemetry's conventions](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/).
fn is_ours(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
