//! Variables in their places, judged as graphql-js judges them.

use std::sync::Arc;

use async_graphql::{EmptyMutation, EmptySubscription, InputObject, Object, OneofObject, Schema, ValidationMode};
use graphql_transport::Settings;
use reqwest::StatusCode;
use serde_json::json;

use super::ask;
use super::standin::{Gate, Server, serve_schema};

#[derive(InputObject)]
struct Work {
    digits: i32,
    #[graphql(default = 7)]
    rounds: i32,
    parts: Option<Vec<i32>>,
    when: Option<When>,
}

#[derive(OneofObject)]
enum When {
    Second(i32),
    Hour(i32),
}

struct Query;

#[Object]
impl Query {
    async fn number(&self, of: i32) -> i32 {
        of
    }

    async fn sum(&self, input: Work) -> i32 {
        let when = input.when.map_or(0, |(When::Second(time) | When::Hour(time))| time);
        input.digits + input.rounds + input.parts.unwrap_or_default().iter().sum::<i32>() + when
    }
}

async fn server() -> Server {
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription).validation_mode(ValidationMode::Fast).finish();
    let sdl = schema.sdl();
    serve_schema(0, schema, &sdl, Settings::default(), Arc::new(Gate::default()), None).await
}

#[tokio::test]
async fn a_variable_within_a_value_must_fit_its_place() {
    let server = server().await;
    let spread = "fragment F on Query{sum(input:{digits:$d})}";
    for (variables, place, fits) in [
        ("$d:Int", "{digits:$d}", false),
        ("$d:Int!", "{digits:$d}", true),
        ("$d:Int=1", "{digits:$d}", true),
        ("$d:Int=null", "{digits:$d}", false),
        ("$d:Float!", "{digits:$d}", false),
        ("$d:Int", "{digits:1 rounds:$d}", true),
        ("$d:Int", "{digits:1 parts:[1 $d]}", false),
        ("$d:Int!", "{digits:1 parts:[1 $d]}", true),
        ("$d:[Int!]", "{digits:1 parts:$d}", true),
        ("$d:[Int]", "{digits:1 parts:$d}", false),
        ("$d:Int", "{digits:1 when:{hour:$d}}", false),
        ("$d:Int=1", "{digits:1 when:{hour:$d}}", false),
        ("$d:Int!", "{digits:1 when:{hour:$d}}", true),
    ] {
        let query = format!("query({variables}){{sum(input:{place})}}");
        let given = if variables.contains('[') { json!([1]) } else { json!(1) };
        let (status, answer) = ask(&server, json!({"query": query, "variables": {"d": given}})).await;
        assert_eq!(status == StatusCode::OK && answer.get("errors").is_none(), fits, "{query}: {answer}");
    }
    for (variables, fits) in [("$d:Int=null", false), ("$d:Int", false), ("$d:Int=1", true), ("$d:Int!", true)] {
        let query = format!("query({variables}){{number(of:$d)}}");
        let (_, answer) = ask(&server, json!({"query": query, "variables": {"d": 1}})).await;
        assert_eq!(answer.get("errors").is_none(), fits, "{query}: {answer}");
    }
    for (variables, fits) in [("$d:Int", false), ("$d:Int!", true)] {
        let query = format!("query({variables}){{...F}} {spread}");
        let (_, answer) = ask(&server, json!({"query": query, "variables": {"d": 1}})).await;
        assert_eq!(answer.get("errors").is_none(), fits, "{query}: {answer}");
    }
}

#[tokio::test]
async fn a_mutation_or_subscription_by_get_is_refused_before_it_is_validated() {
    let server = super::standin::serve(0, Settings::default()).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    for (query, status) in [
        ("subscription{__typename}", 405),
        ("mutation{nope}", 405),
        ("mutation{count}", 405),
        ("{nope}", 400),
        ("{", 400),
        ("{hello}", 200),
    ] {
        let asked = client.get(format!("http://{}/graphql?query={query}", server.address));
        let answer = asked.header("accept", "application/graphql-response+json").send().await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
    }
}
