//! Tracing spans of GraphQL operations.

use async_graphql::Response;
use tracing::{Span, field::Empty, info_span};

use super::{codes, document::Selected, observer::OperationKind};

/// Target of the spans of GraphQL operations. A subscriber that wants them enables level `INFO` of this target.
pub const SPAN_TARGET: &str = "graphql_transport::operation";

/// Maximum length of an operation name in a span, in characters. Clients choose the name.
const MAX_NAME: usize = 100;

/// Creates the span of an operation.
pub fn span(selected: &Selected) -> Span {
    let kind = OperationKind::from(selected.kind()).as_str();
    let span = info_span!(
        target: SPAN_TARGET,
        "graphql",
        otel.name = Empty,
        otel.status_code = Empty,
        graphql.operation.type = kind,
        graphql.operation.name = Empty,
        graphql.error.code = Empty,
    );
    if span.is_none() {
        return span;
    }
    match selected.name() {
        Some(name) => {
            let name: String = name.chars().take(MAX_NAME).collect();
            span.record("graphql.operation.name", &*name);
            span.record("otel.name", format!("graphql {kind} {name}"));
        }
        None => drop(span.record("otel.name", format!("graphql {kind}"))),
    }
    span
}

/// Records the result of the operation in its span.
pub fn answered(span: &Span, response: &Response) {
    if let Some(code) = codes::all(&response.errors).first().copied() {
        span.record("graphql.error.code", code);
        if matches!(code, "INTERNAL" | "UNAVAILABLE") {
            span.record("otel.status_code", "ERROR");
        }
    }
}
