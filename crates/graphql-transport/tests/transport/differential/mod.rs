//! Comparison with graphql-js, the reference implementation: generated requests, the same in each run.

mod documents;
mod execution;
mod graphql_js;
mod random;
mod texts;
mod values;

use std::sync::Arc;

use apollo_compiler::{Schema, ast::OperationType, validation::Valid};
use async_graphql::{Data, Executor, Response, Value as Output};
use futures_util::{StreamExt, stream::BoxStream};
use graphql_transport::Settings;
use serde_json::Value;

use super::standin::{Server, serve_schema};
use documents::{Generator, PossibleTypes, possible_types};
use graphql_js::Request;
use random::{FAULTS, Fault};

/// The schema of the server that this crate was made for.
const SDL: &str = include_str!("../../../../../schema.graphql");

/// Requests without a fault, and with each fault.
const VALID: u64 = 400;
const WITH_FAULT: usize = 25;

/// Differences that remain, by the end of the error of either side, and their reasons.
const KNOWN: [(&str, &str); 3] = [
    ("in a @oneOf input object.", "graphql-js 16 takes a variable that may be null if the object may not"),
    ("must select only one top level field.", "apollo-compiler counts fields that share a key as several"),
    (
        "can not specify @skip or @include on root fields.",
        "the specification of September 2025 forbids it, graphql-js 17 too",
    ),
];

/// An executor that answers nothing: the verdict is what counts.
#[derive(Clone)]
struct NoExecutor;

impl Executor for NoExecutor {
    async fn execute(&self, _request: async_graphql::Request) -> Response {
        Response::new(Output::Object(Default::default()))
    }

    fn execute_stream(
        &self,
        _request: async_graphql::Request,
        _session: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        futures_util::stream::empty().boxed()
    }
}

/// Settings whose limits are never reached.
fn unlimited() -> Settings {
    let most = usize::MAX;
    Settings {
        max_selections: most,
        max_aliases: most,
        max_directives: most,
        max_list_items: most,
        ..Settings::default()
    }
}

async fn serve() -> Server {
    serve_schema(0, NoExecutor, SDL, unlimited(), Default::default(), None).await
}

/// Sends the requests one after the other. Returns their statuses and responses.
async fn responses(server: &Server, requests: &[Request]) -> Vec<(u16, String)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (client, url) = (reqwest::Client::new(), format!("http://{}/graphql", server.address));
    let mut responses = Vec::new();
    for request in requests {
        let sent = client.post(&url).header("accept", "application/graphql-response+json").json(request);
        let answer = sent.send().await.unwrap();
        responses.push((answer.status().as_u16(), answer.text().await.unwrap()));
    }
    responses
}

/// Returns the error of a request that was refused.
fn refusal((status, text): (u16, String)) -> Option<String> {
    let answer: Value = serde_json::from_str(&text).ok().filter(|_| status == 400)?;
    answer["errors"][0]["message"].as_str().map(str::to_owned)
}

/// Fails with the requests whose verdicts differ for no known reason. Returns the number of requests that are refused.
async fn compare(requests: &[(String, Request)]) -> usize {
    let sent: Vec<_> = requests.iter().map(|(_, request)| request.clone()).collect();
    let theirs = tokio::task::spawn_blocking({
        let sent = sent.clone();
        move || graphql_js::answers(SDL, &sent, None)
    });
    let ours: Vec<_> = responses(&serve().await, &sent).await.into_iter().map(refusal).collect();
    let theirs = theirs.await.unwrap();
    let mut different = Vec::new();
    for (((label, request), ours), theirs) in requests.iter().zip(&ours).zip(&theirs) {
        let is_known = |error: &str| KNOWN.iter().any(|(end, _)| error.ends_with(end));
        let known = ours.iter().chain(&theirs.error).any(|error| is_known(error));
        if ours.is_some() != theirs.error.is_some() && !known {
            let Request { query, variables, operation_name } = request;
            let name = operation_name.as_deref().unwrap_or("-");
            different.push(format!(
                "{label}\n{query}\noperation {name}, variables {variables}\nhere: {ours:?}\ngraphql-js: {:?}",
                theirs.error
            ));
        }
    }
    let count = different.len();
    different.truncate(20);
    assert!(count == 0, "{count} of {} verdicts differ:\n{}", requests.len(), different.join("\n\n"));
    theirs.iter().filter(|answer| answer.error.is_some()).count()
}

/// Kinds of operations of each request: mostly queries.
const KINDS: [OperationType; 5] = [
    OperationType::Query,
    OperationType::Query,
    OperationType::Query,
    OperationType::Mutation,
    OperationType::Subscription,
];

/// Generates requests for a schema.
struct Requests {
    schema: Valid<Schema>,
    possible: PossibleTypes,
}

impl Requests {
    fn new(sdl: &str) -> Self {
        let schema = Schema::parse_and_validate(sdl, "schema").unwrap();
        let possible = possible_types(&schema);
        Self { schema, possible }
    }

    fn generator(&self, seed: u64, fault: Fault) -> Generator<'_> {
        Generator::new((&self.schema, &self.possible), seed, fault)
    }

    fn valid(&self, seed: u64, kinds: &[OperationType]) -> Request {
        self.generator(seed, Fault::default()).request(kinds)
    }

    /// Returns a request with a fault of this kind. None if the request of this seed has no place for it.
    fn faulty(&self, kind: &'static str, seed: u64) -> Option<Request> {
        let mut counting = self.generator(seed, Fault::at(kind, usize::MAX));
        counting.request(&KINDS);
        let place = usize::try_from(seed).unwrap() % counting.fault.places.max(1);
        let mut generator = self.generator(seed, Fault::at(kind, place));
        let request = generator.request(&KINDS);
        generator.fault.made.then_some(request)
    }
}

#[tokio::test]
async fn valid_requests_are_accepted_if_graphql_js_accepts_them() {
    let generated = Requests::new(SDL);
    let requests: Vec<_> = (0..VALID).map(|seed| (format!("seed {seed}"), generated.valid(seed, &KINDS))).collect();
    // Fields of fragments may conflict.
    assert!(compare(&requests).await < requests.len() / 4);
}

#[tokio::test]
async fn requests_with_a_fault_are_refused_if_graphql_js_refuses_them() {
    let generated = Requests::new(SDL);
    let mut requests = Vec::new();
    for kind in FAULTS {
        let faulty = |seed| Some((format!("{kind}, seed {seed}"), generated.faulty(kind, seed)?));
        requests.extend((0..).filter_map(faulty).take(WITH_FAULT));
    }
    // A few faults are none: a variable that may be null fits a place with a default.
    assert!(compare(&requests).await > requests.len() * 9 / 10);
}
