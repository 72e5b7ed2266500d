//! Spans of traces. While traces are not exported no span is made, and asking for one costs a look at a flag.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Target of spans that are always exported. The log has no part in targets that begin with it.
pub const TARGET: &str = "otlp";

/// Target of the store's spans, which are exported only as parts of others: the node looks at the store all the time.
pub const STORE: &str = "otlp.store";

/// The header of a parent (W3C Trace Context).
const TRACE_PARENT: &str = "traceparent";

/// Returns the current span as a `traceparent` header has it. None if it is not exported.
pub fn trace_parent() -> Option<String> {
    let span = Span::current();
    if span.is_none() {
        return None;
    }
    let context = span.context();
    let parent = context.span().span_context().clone();
    let flags = parent.trace_flags().to_u8();
    parent.is_valid().then(|| format!("00-{}-{}-{flags:02x}", parent.trace_id(), parent.span_id()))
}

/// Makes the span of a `traceparent` header the parent of `span`. A header that is malformed is ignored.
pub fn follow(span: &Span, trace_parent: &str) {
    if let Some(parent) = parse(trace_parent) {
        let context = opentelemetry::Context::new().with_remote_span_context(parent);
        // A span that is not exported needs no parent.
        let _ = span.set_parent(context);
    }
}

/// Links `span` to the span of a `traceparent` header.
pub fn link(span: &Span, trace_parent: &str) {
    if let Some(linked) = parse(trace_parent) {
        span.add_link(linked);
    }
}

fn parse(trace_parent: &str) -> Option<SpanContext> {
    let headers = HashMap::from([(TRACE_PARENT.to_owned(), trace_parent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &headers);
    let parent = context.span().span_context().clone();
    parent.is_valid().then_some(parent)
}
