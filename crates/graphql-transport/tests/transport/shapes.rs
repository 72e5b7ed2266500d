//! Responses in the shape that the specification gives them, whatever order fields are resolved in and whichever of them fail.

use async_graphql::{Interface, Object, Result, Schema, SimpleObject, Subscription, ValidationMode};
use futures_util::Stream;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicI32, Ordering},
    time::Duration,
};

use super::{post, standin::serve_schema};
use graphql_transport::Settings;

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
struct Cat {
    name: String,
    lives: Option<i32>,
}

#[derive(SimpleObject, Clone)]
struct Dog {
    name: String,
    barks: bool,
}

#[derive(Interface, Clone)]
#[graphql(field(name = "name", ty = "&String"))]
enum Pet {
    Cat(Cat),
    Dog(Dog),
}

#[async_graphql::ComplexObject]
impl Cat {
    async fn slow(&self) -> i32 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        7
    }

    async fn fails(&self) -> Result<Option<i32>> {
        Err("it fails".into())
    }

    async fn must(&self) -> Result<i32> {
        Err("it must not fail".into())
    }

    async fn owner(&self) -> Option<Box<Owner>> {
        Some(Box::new(Owner))
    }
}

struct Owner;

#[Object]
impl Owner {
    async fn cat(&self) -> Cat {
        cat()
    }

    async fn cats(&self) -> Vec<Option<Cat>> {
        vec![Some(cat()), None]
    }
}

fn cat() -> Cat {
    Cat { name: "Tom".into(), lives: None }
}

fn dog() -> Dog {
    Dog { name: "Rex".into(), barks: true }
}

struct Query;

#[Object]
impl Query {
    async fn cat(&self) -> Option<Cat> {
        Some(cat())
    }

    async fn sure(&self) -> Cat {
        cat()
    }

    async fn none(&self) -> Option<Cat> {
        None
    }

    async fn pets(&self) -> Vec<Pet> {
        vec![Pet::Cat(cat()), Pet::Dog(dog())]
    }

    async fn echo(&self, #[graphql(default = 5)] number: i32) -> i32 {
        number
    }
}

#[derive(Default)]
struct Mutation(AtomicI32);

#[Object]
impl Mutation {
    async fn add(&self) -> Counter {
        Counter { value: self.0.fetch_add(1, Ordering::SeqCst) + 1, twice: 2 }
    }

    async fn fails(&self) -> Result<Option<i32>> {
        Err("it fails".into())
    }
}

#[derive(SimpleObject)]
struct Counter {
    value: i32,
    twice: i32,
}

struct Subscriptions;

#[Subscription]
impl Subscriptions {
    async fn cats(&self) -> impl Stream<Item = Option<Cat>> {
        futures_util::stream::iter([Some(cat()), None])
    }
}

/// Asks for the answer to a query. Object keys keep their order in the text.
async fn shape(query: &str, variables: Value) -> String {
    let schema =
        Schema::build(Query, Mutation::default(), Subscriptions).validation_mode(ValidationMode::Fast).finish();
    let sdl = schema.sdl();
    let server = serve_schema(0, schema, &sdl, Settings::default(), Default::default(), None).await;
    let answer = post(&server).json(&json!({"query": query, "variables": variables})).send().await.unwrap();
    answer.text().await.unwrap()
}

/// The data of an answer, as text.
async fn data(query: &str) -> String {
    let text = shape(query, json!({})).await;
    let end = text.find(r#","errors":"#).unwrap_or(text.len() - 1);
    text[r#"{"data":"#.len()..end].to_owned()
}

#[tokio::test]
async fn keys_come_in_the_order_of_the_query() {
    assert_eq!(data("{cat{slow name}}").await, r#"{"cat":{"slow":7,"name":"Tom"}}"#);
    assert_eq!(
        data("{cat{...F name} echo}fragment F on Cat{slow lives}").await,
        r#"{"cat":{"slow":7,"lives":null,"name":"Tom"},"echo":5}"#
    );
    let pets = "{pets{...on Cat{slow}...on Dog{barks}name}}";
    assert_eq!(data(pets).await, r#"{"pets":[{"slow":7,"name":"Tom"},{"barks":true,"name":"Rex"}]}"#);
    let typed = "{pets{...on Dog{barks __typename}...on Pet{name}}}";
    assert_eq!(data(typed).await, r#"{"pets":[{"name":"Tom"},{"barks":true,"__typename":"Dog","name":"Rex"}]}"#);
}

#[tokio::test]
async fn an_object_without_fields_is_empty() {
    assert_eq!(data("{sure{name @skip(if:true)}}").await, r#"{"sure":{}}"#);
    assert_eq!(data("{none{name @skip(if:true)}}").await, r#"{"none":null}"#);
    assert_eq!(data("{cat @include(if:false){name}}").await, "{}");
    assert_eq!(data("{pets{...on Dog{barks}}}").await, r#"{"pets":[{},{"barks":true}]}"#);
    let by_variable = shape("query($n:Boolean=false){sure{name @include(if:$n)}}", json!({})).await;
    assert_eq!(by_variable, r#"{"data":{"sure":{}}}"#);
}

#[tokio::test]
async fn an_error_leaves_null_at_its_place_or_at_the_nearest_that_may_be_null() {
    assert_eq!(data("{cat{fails name}}").await, r#"{"cat":{"fails":null,"name":"Tom"}}"#);
    assert_eq!(data("{cat{fails}}").await, r#"{"cat":{"fails":null}}"#);
    assert_eq!(data("{cat{must name} echo}").await, r#"{"cat":null,"echo":5}"#);
    assert_eq!(data("{sure{must}}").await, "null");
    assert_eq!(data("{cat{owner{cat{must}}name}}").await, r#"{"cat":{"owner":null,"name":"Tom"}}"#);
    assert_eq!(data("{cat{owner{cats{must name}}}}").await, r#"{"cat":{"owner":{"cats":[null,null]}}}"#);
    let text = shape("{cat{must}}", json!({})).await;
    assert!(text.contains(r#""path":["cat","must"]"#), "{text}");
}

#[tokio::test]
async fn a_mutation_that_fails_keeps_its_key_and_one_that_is_selected_twice_runs_once() {
    assert_eq!(data("mutation{fails add{value}}").await, r#"{"fails":null,"add":{"value":1}}"#);
    assert_eq!(data("mutation{fails}").await, r#"{"fails":null}"#);
    let twice = "mutation{add{value}...F}fragment F on Mutation{add{twice}}";
    assert_eq!(data(twice).await, r#"{"add":{"value":1,"twice":2}}"#);
}

#[tokio::test]
async fn an_argument_whose_variable_has_no_value_has_its_default() {
    assert_eq!(shape("query($n:Int){echo(number:$n)}", json!({})).await, r#"{"data":{"echo":5}}"#);
    assert_eq!(shape("query($n:Int=6){echo(number:$n)}", json!({})).await, r#"{"data":{"echo":6}}"#);
    assert_eq!(shape("query($n:Int!){echo(number:$n)}", json!({"n": 7.0})).await, r#"{"data":{"echo":7}}"#);
    assert_eq!(data("{echo(number:-0)}").await, r#"{"echo":0}"#);
}
