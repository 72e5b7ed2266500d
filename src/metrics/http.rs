//! HTTP requests and GraphQL operations.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::calls::Durations;
use crate::task::Code;

/// Upper bounds of durations, in seconds: uploads take minutes.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];

/// HTTP requests.
#[derive(Clone)]
pub struct Http {
    requests: Family<Request, Counter>,
    durations: Durations<Route>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

impl Http {
    pub(super) fn register(registry: &mut Registry) -> Http {
        let requests = Family::default();
        let durations = Durations::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "HTTP requests by method, route pattern and status code";
        registry.register("http_requests", help, requests.clone());
        let help = "Seconds from the headers of an HTTP request to the headers of its response, by route pattern";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, durations.clone());
        Http { requests, durations }
    }

    /// Counts a request with a response. `route` is the pattern that it matched.
    pub fn answered(&self, method: &str, route: &str, code: u16, after: Duration) {
        let request = Request { method: known(method), route: route.to_owned(), code };
        self.requests.get_or_create(&request).inc();
        self.durations.get_or_create(&Route { route: request.route }).observe(after.as_secs_f64());
    }
}

/// Limits the label values: clients may send any text as a method.
fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

/// GraphQL operations, over HTTP and WebSocket. The default is not registered: its numbers are not exported.
#[derive(Clone, Debug)]
pub struct Graphql {
    operations: Family<Operation, Counter>,
    durations: Durations<Type>,
    errors: Family<ErrorLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    r#type: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Type {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabel {
    code: &'static str,
}

impl Default for Graphql {
    fn default() -> Graphql {
        let durations = Durations::new_with_constructor(|| Histogram::new(SECONDS));
        Graphql { operations: Family::default(), durations, errors: Family::default() }
    }
}

impl Graphql {
    pub(super) fn register(registry: &mut Registry) -> Graphql {
        let graphql = Graphql::default();
        let help = "GraphQL operations by type and code: OK, or the code of the first error. \
            A subscription counts with its first result or at its end; type unknown is a request that was refused";
        registry.register("graphql_operations", help, graphql.operations.clone());
        let help = "Duration of queries and mutations in seconds";
        registry.register_with_unit("graphql_operation_duration", help, Unit::Seconds, graphql.durations.clone());
        registry.register("graphql_errors", "Errors in GraphQL responses by extensions.code", graphql.errors.clone());
        graphql
    }

    /// Counts an operation of this type (query, mutation, subscription or unknown) with the codes of its errors.
    pub fn count(&self, r#type: &'static str, codes: &[&str]) {
        let first = self.count_errors(codes);
        self.operations.get_or_create(&Operation { r#type, code: first.unwrap_or("OK") }).inc();
    }

    /// Counts errors; returns the code of the first.
    pub fn count_errors(&self, codes: &[&str]) -> Option<&'static str> {
        let mut first = None;
        for code in codes.iter().map(|code| bounded(code)) {
            first.get_or_insert(code);
            self.errors.get_or_create(&ErrorLabel { code }).inc();
        }
        first
    }

    /// Adds the duration of a query or mutation.
    pub fn took(&self, r#type: &'static str, time: Duration) {
        self.durations.get_or_create(&Type { r#type }).observe(time.as_secs_f64());
    }
}

/// Maps a code to a label. An embedding program may have other codes.
fn bounded(code: &str) -> &'static str {
    code.parse().map_or("OTHER", Code::as_str)
}
