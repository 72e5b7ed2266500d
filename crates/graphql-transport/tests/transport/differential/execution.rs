//! Responses of a small schema beside those of graphql-js: order of keys, empty objects, nulls at and above errors.
//! `resolvers.mjs` has the same fields.

use apollo_compiler::ast::OperationType;
use async_graphql::{EmptyMutation, EmptySubscription, Interface, Object, Result, Schema, Union, ValidationMode};

use serde_json::json;

use super::graphql_js::{self, Request};
use super::{Requests, responses, unlimited};
use crate::standin::serve_schema;

/// Number of requests.
const REQUESTS: u64 = 600;

/// Requests that are generated rarely.
const WRITTEN: [&str; 3] = [
    "{ self { named { ...F name ... on Either { __typename } } } } fragment F on Named { name }",
    "{ self { named { ... on Either { ... on Other { flag } ... on Thing { none } } } } }",
    "{ either { ... on Named { name ... on Either { ... on Named { __typename } } } ... on Other { self { sure { may } } } } }",
];

struct Thing(usize);

struct Other(usize);

#[derive(Union)]
enum Either {
    Thing(Thing),
    Other(Other),
}

#[derive(Interface)]
#[graphql(field(name = "name", ty = "String"))]
enum Named {
    Thing(Thing),
    Other(Other),
}

#[Object]
impl Thing {
    async fn name(&self) -> String {
        "thing".to_owned()
    }

    async fn none(&self) -> Option<i32> {
        None
    }

    async fn must(&self) -> Result<i32> {
        Err("it fails".into())
    }

    async fn may(&self) -> Result<Option<i32>> {
        Err("it fails".into())
    }

    async fn numbers(&self) -> Vec<i32> {
        vec![1, 2]
    }

    async fn holes(&self) -> Vec<Option<i32>> {
        vec![Some(1), None]
    }

    async fn echo(
        &self,
        #[graphql(default = 5)] number: i32,
        list: Option<Vec<i32>>,
        #[graphql(default_with = "Some(\"x\".to_owned())")] text: Option<String>,
    ) -> String {
        format!("{number} {} {}", list.unwrap_or_default().len(), text.unwrap_or_default())
    }

    #[graphql(name = "self")]
    async fn own(&self) -> Option<Thing> {
        Some(Thing(self.0 + 1))
    }

    async fn sure(&self) -> Thing {
        Thing(self.0 + 1)
    }

    async fn gone(&self) -> Option<Thing> {
        None
    }

    async fn lost(&self) -> Result<Thing> {
        Err("it fails".into())
    }

    async fn things(&self) -> Vec<Option<Thing>> {
        vec![Some(Thing(self.0 + 1)), None]
    }

    async fn all(&self) -> Option<Vec<Thing>> {
        Some(vec![Thing(self.0 + 1), Thing(self.0 + 1)])
    }

    async fn other(&self) -> Other {
        Other(self.0 + 1)
    }

    async fn either(&self) -> Vec<Either> {
        vec![Either::Thing(Thing(self.0 + 1)), Either::Other(Other(self.0 + 1))]
    }

    async fn named(&self) -> Option<Named> {
        (self.0 % 2 == 1).then_some(Named::Other(Other(self.0 + 1)))
    }
}

#[Object]
impl Other {
    async fn name(&self) -> String {
        "other".to_owned()
    }

    async fn flag(&self) -> bool {
        true
    }

    async fn must(&self) -> Result<i32> {
        Err("it fails".into())
    }

    #[graphql(name = "self")]
    async fn own(&self) -> Option<Thing> {
        Some(Thing(self.0 + 1))
    }
}

/// Returns the data of a response as text, and true if it has errors. None if the request was refused.
fn executed(status: u16, text: &str) -> Option<(String, bool)> {
    let rest = text.strip_prefix(r#"{"data":"#).filter(|_| status == 200)?;
    let end = rest.find(r#","errors":["#);
    Some((rest[..end.unwrap_or(rest.len() - 1)].to_owned(), end.is_some()))
}

#[tokio::test]
async fn responses_are_those_of_graphql_js() {
    let schema =
        Schema::build(Thing(0), EmptyMutation, EmptySubscription).validation_mode(ValidationMode::Fast).finish();
    let sdl = schema.sdl();
    let generated = Requests::new(&sdl);
    let server = serve_schema(0, schema, &sdl, unlimited(), Default::default(), None).await;
    let mut requests: Vec<Request> = (0..REQUESTS).map(|seed| generated.valid(seed, &[OperationType::Query])).collect();
    requests.extend(WRITTEN.map(|query| Request {
        query: query.to_owned(),
        operation_name: None,
        variables: json!({}),
    }));
    let answers = graphql_js::answers(&sdl, &requests, Some("resolvers.mjs"));
    let (mut executed_requests, mut different) = (0, Vec::new());
    for ((request, theirs), (status, text)) in requests.iter().zip(answers).zip(responses(&server, &requests).await) {
        let ours = executed(status, &text);
        executed_requests += usize::from(ours.is_some());
        let expected = theirs.data.map(|data| (data, theirs.failed));
        if ours != expected {
            different.push(format!("{}\n{}\nhere: {text}\ngraphql-js: {expected:?}", request.query, request.variables));
        }
    }
    let count = different.len();
    different.truncate(20);
    assert!(count == 0, "{count} responses differ:\n{}", different.join("\n\n"));
    assert!(executed_requests > 400, "{executed_requests}");
}
