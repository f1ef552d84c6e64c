//! Which calls are traced.
//!
//! A sampler that goes by the trace's id lets whoever chooses the id choose the answer. So a trace that begins here, with an
//! id of ours, is decided by its id, and one that a caller names by chance; unless callers are trusted to decide. What is
//! below a span of ours goes with it. These are the cases of the specification's
//! [`ParentBased`](https://opentelemetry.io/docs/specs/otel/trace/sdk/#parentbased).

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind},
};
use opentelemetry_sdk::trace::{
    IdGenerator as _, ParentBasedSampler, RandomIdGenerator, Sampler, SamplingResult, ShouldSample,
};

/// Traces this share of calls, from 0 to 1, of those whose caller does not decide it.
pub(super) fn sampler(ratio: f64, follow_caller: bool) -> ParentBasedSampler {
    let by_id = Sampler::TraceIdRatioBased(ratio);
    let sampler = Sampler::parent_based(by_id.clone());
    if follow_caller {
        return sampler;
    }
    let by_chance = ByChance(by_id);
    sampler.with_remote_parent_sampled(by_chance.clone()).with_remote_parent_not_sampled(by_chance)
}

/// Decides as it would of a trace with an id of our own.
#[derive(Clone, Debug)]
struct ByChance(Sampler);

impl ShouldSample for ByChance {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let id = RandomIdGenerator::default().new_trace_id();
        self.0.should_sample(parent, id, name, kind, attributes, links)
    }
}
