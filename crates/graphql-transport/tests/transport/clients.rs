//! A server that tells its clients apart.

use std::sync::Arc;

use async_graphql::{Context, Data, Executor, Object, Request, Response, Schema, Subscription};
use axum::http::request::Parts;
use futures_util::{
    future::ready,
    stream::{self, BoxStream, Stream},
};
use graphql_transport::{Client, Clients, Settings};
use serde_json::{Map, Value, json};

use super::standin::{Gate, Server, Sink, serve_clients};
use super::{hear, open, post, say, subscribe};

struct Query;

#[Object]
impl Query {
    async fn name(&self, ctx: &Context<'_>) -> String {
        ctx.data_unchecked::<String>().clone()
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn name(&self, ctx: &Context<'_>) -> String {
        ctx.data_unchecked::<String>().clone()
    }
}

struct Names;

#[Subscription]
impl Names {
    async fn name(&self, ctx: &Context<'_>) -> impl Stream<Item = String> + use<> {
        stream::once(ready(ctx.data_unchecked::<String>().clone()))
    }
}

type Named = Schema<Query, Mutation, Names>;

/// Runs operations for the client with a name.
#[derive(Clone)]
struct NamedExecutor(Named, String);

impl Executor for NamedExecutor {
    async fn execute(&self, request: Request) -> Response {
        self.0.execute(request.data(self.1.clone())).await
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        Executor::execute_stream(&self.0, request.data(self.1.clone()), session)
    }
}

/// Clients whose name is in a header, or in the payload of `connection_init`.
struct ByName(Named, Arc<Sink>);

impl ByName {
    fn client(&self, name: &str) -> Client<NamedExecutor> {
        Client { executor: NamedExecutor(self.0.clone(), name.to_owned()), uploads: self.1.clone(), limit: None }
    }
}

impl Clients for ByName {
    type Executor = NamedExecutor;

    fn of_request(&self, request: &Parts) -> Client<NamedExecutor> {
        self.client(request.headers["x-name"].to_str().unwrap())
    }

    fn of_connection(&self, handshake: &Parts, init: &Map<String, Value>) -> Client<NamedExecutor> {
        let path = handshake.uri.path();
        self.client(&format!("{} at {path}", init["name"].as_str().unwrap()))
    }
}

async fn serve() -> Server {
    let (schema, sink) = (Schema::new(Query, Mutation, Names), Arc::new(Sink::default()));
    let sdl = schema.sdl();
    let clients = ByName(schema, sink.clone());
    serve_clients(0, clients, &sdl, Settings::default(), sink, Arc::new(Gate::default())).await
}

#[tokio::test]
async fn each_request_runs_for_the_client_that_sent_it() {
    let server = serve().await;
    for name in ["ada", "bo"] {
        for operation in ["query", "mutation"] {
            let body = json!({ "query": format!("{operation} {{ name }}") });
            let answer = post(&server).header("x-name", name).json(&body).send().await.unwrap();
            assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "data": { "name": name } }));
        }
    }
}

/// Each in both protocols.
#[tokio::test]
async fn each_socket_runs_for_the_client_of_its_connection_init() {
    let server = serve().await;
    for (name, protocol, start) in [("ada", "graphql-transport-ws", "subscribe"), ("bo", "graphql-ws", "start")] {
        let mut socket = open(&server, protocol).await;
        say(&mut socket, json!({ "type": "connection_init", "payload": { "name": name } })).await;
        assert_eq!(hear(&mut socket).await["type"], "connection_ack");
        for operation in ["query", "mutation", "subscription"] {
            let mut message = subscribe(&format!("{operation} {{ name }}"));
            message["type"] = json!(start);
            say(&mut socket, message).await;
            let result = hear(&mut socket).await;
            assert_eq!(result["payload"]["data"]["name"], format!("{name} at /"), "{operation} by {protocol}");
            assert_eq!(hear(&mut socket).await["type"], "complete");
        }
    }
}
