//! Spans of traces. If traces are not exported, no span is created; the cost is one check of a flag.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Target of spans that are always exported. Targets that begin with it are excluded from the log.
pub const TARGET: &str = "otlp";

/// Target of the store's spans. They are exported only as children of other spans, because the node polls the store.
pub const STORE: &str = "otlp.store";

/// Name of the parent's header (W3C Trace Context).
const TRACE_PARENT: &str = "traceparent";

/// Returns the current span as the value of a `traceparent` header. None if it is not exported.
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

/// Sets the span of a `traceparent` header as the parent of `span`. Ignores a malformed header.
pub fn set_parent(span: &Span, trace_parent: &str) {
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
