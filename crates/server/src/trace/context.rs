//! What callers say of the trace that their call belongs to ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).

use std::fmt;

use http::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The header that names the trace and the caller's span.
const PARENT: &str = "traceparent";
/// The header in which tracing systems keep what else they know.
const STATE: &str = "tracestate";
/// Bytes of it that are kept: every span carries them. More than the recommendation asks for is thrown away as a whole.
const STATE_MAX_BYTES: usize = 512;

/// The id of a trace: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(opentelemetry::TraceId);

impl TraceId {
    pub(super) fn of(context: &SpanContext) -> Self {
        Self(context.trace_id())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The caller's span, if it names one.
pub(super) fn parent_in(headers: &HeaderMap) -> Option<SpanContext> {
    // Most calls have none.
    headers.get(PARENT)?;
    let context = TraceContextPropagator::new().extract(&Headers(headers));
    Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.to_str().ok()?;
        (key != STATE || value.len() <= STATE_MAX_BYTES).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        vec![PARENT, STATE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(traceparent: &str, tracestate: &str) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        headers.insert(PARENT, traceparent.parse().unwrap());
        headers.insert(STATE, tracestate.parse().unwrap());
        parent_in(&headers)
    }

    #[test]
    fn what_is_no_trace_is_taken_for_none() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let found = parent(good, "a=1,b=2").unwrap();
        assert_eq!(TraceId::of(&found).to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(found.is_sampled() && found.is_remote());
        assert_eq!(found.trace_state().header(), "a=1,b=2");
        assert!(!parent(&good.replace("-01", "-00"), "").unwrap().is_sampled());
        let long = format!("a={}", "x".repeat(STATE_MAX_BYTES));
        assert_eq!(parent(good, &long).unwrap().trace_state().header(), "");
        for bad in [
            "",
            "00",
            "garbage",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parent(bad, ""), None, "{bad}");
        }
        assert_eq!(parent_in(&HeaderMap::new()), None);
    }
}
