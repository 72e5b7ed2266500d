//! A small schema and upload sink behind the transport, on a port of its own.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_graphql::{
    Executor, InputValueError, InputValueResult, Object, Scalar, ScalarType, Schema, Subscription, ValidationMode,
    Value,
};
use async_trait::async_trait;
use axum::Router;
use axum::middleware::{Next, from_fn};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use graphql_transport::{Client, Clients, OperationLimit, ScalarCheck, Settings, UploadError, UploadSink};
use tokio::sync::Notify;

/// The largest file that the sink takes, in bytes.
pub const LARGEST: u64 = 4 << 20;

/// A file of a multipart request: its upload's id.
pub struct Upload(String);

#[Scalar]
impl ScalarType for Upload {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(id) if id.starts_with("upload-") => Ok(Self(id)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

fn is_upload(value: &Value) -> Result<(), String> {
    Upload::parse(value.clone()).map(drop).map_err(|_| "expected an upload".into())
}

pub struct Query;

#[Object]
impl Query {
    async fn hello(&self, #[graphql(default)] name: Option<String>) -> String {
        format!("hello {}", name.unwrap_or_default())
    }

    async fn number(&self, of: i32) -> i32 {
        of
    }

    async fn panics(&self) -> Option<i32> {
        assert!(std::hint::black_box(false), "a secret");
        None
    }

    async fn fails(&self) -> async_graphql::Result<Option<i32>> {
        Err("a secret".into())
    }

    async fn query(&self) -> Query {
        Query
    }
}

#[derive(Default)]
pub struct Mutation {
    count: Mutex<i32>,
    gate: Arc<Gate>,
}

/// Holds mutations until a story releases them.
#[derive(Default)]
pub struct Gate {
    /// A mutation waits.
    pub reached: Notify,
    /// It may continue.
    pub open: Notify,
    /// It has ended.
    pub passed: Notify,
    /// A request over HTTP has ended, or its client has left.
    pub left: Notify,
}

/// Reports that a request was dropped.
struct Leaving(Arc<Gate>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

#[Object]
impl Mutation {
    async fn count(&self) -> i32 {
        let mut count = self.count.lock().unwrap();
        *count += 1;
        *count
    }

    async fn waits(&self) -> bool {
        self.gate.reached.notify_one();
        self.gate.open.notified().await;
        self.gate.passed.notify_one();
        true
    }

    async fn echo(&self, text: String) -> String {
        text
    }

    async fn upload(&self, file: Upload) -> String {
        file.0
    }

    async fn uploads(&self, files: Vec<Upload>) -> Vec<String> {
        files.into_iter().map(|file| file.0).collect()
    }
}

pub struct Ticks;

#[Subscription]
impl Ticks {
    /// Numbers from 1, one each `every` milliseconds.
    async fn ticks(&self, count: i32, #[graphql(default = 10)] every: u64) -> impl Stream<Item = i32> {
        let period = Duration::from_millis(every);
        futures_util::stream::iter(1..=count).then(move |number| async move {
            tokio::time::sleep(period).await;
            number
        })
    }

    /// One number, then a panic.
    async fn breaks(&self) -> impl Stream<Item = i32> {
        futures_util::stream::iter(1..=2).map(|number| {
            assert!(number == 1, "a secret");
            number
        })
    }
}

/// Keeps the lengths of what it stored, and what was released.
#[derive(Default)]
pub struct Sink {
    pub stored: Mutex<Vec<u64>>,
    pub released: Mutex<Vec<String>>,
    pub changed: tokio::sync::Notify,
}

#[async_trait]
impl UploadSink for Sink {
    async fn store(
        &self,
        _file_name: Option<String>,
        mut body: BoxStream<'_, Result<Bytes, io::Error>>,
    ) -> Result<String, UploadError> {
        let mut length = 0;
        while let Some(chunk) = body.next().await {
            length += chunk.map_err(|error| UploadError::of_body(&error))?.len() as u64;
            if length > LARGEST {
                return Err(UploadError::TooLarge { limit: LARGEST });
            }
        }
        let mut stored = self.stored.lock().unwrap();
        stored.push(length);
        Ok(format!("upload-{}", stored.len()))
    }

    async fn release(&self, ids: Vec<String>) {
        self.released.lock().unwrap().extend(ids);
        self.changed.notify_one();
    }
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub sink: Arc<Sink>,
    pub gate: Arc<Gate>,
}

/// Serves the stand-in at `/graphql` on this port; 0 picks a free one.
pub async fn serve(port: u16, settings: Settings) -> Server {
    serve_limited(port, settings, None).await
}

/// Serves the stand-in to one caller with that limit.
pub async fn serve_limited(port: u16, settings: Settings, limit: Option<Arc<dyn OperationLimit>>) -> Server {
    let gate = Arc::new(Gate::default());
    let schema = Schema::build(Query, Mutation { gate: Arc::clone(&gate), ..Mutation::default() }, Ticks)
        .limit_depth(15)
        .limit_complexity(1000)
        .limit_recursive_depth(24)
        .limit_directives(16)
        .validation_mode(ValidationMode::Fast)
        .finish();
    let sdl = schema.sdl();
    let settings = Settings { scalars: [("Upload", is_upload as ScalarCheck)].into(), ..settings };
    serve_schema(port, schema, &sdl, settings, gate, limit).await
}

/// Serves a schema at `/graphql` on this port.
pub async fn serve_schema(
    port: u16,
    schema: impl Executor,
    sdl: &str,
    settings: Settings,
    gate: Arc<Gate>,
    limit: Option<Arc<dyn OperationLimit>>,
) -> Server {
    let sink = Arc::new(Sink::default());
    let client = Client { executor: schema, uploads: sink.clone(), limit };
    serve_clients(port, client, sdl, settings, sink, gate).await
}

/// Serves clients at `/graphql` on this port.
pub async fn serve_clients(
    port: u16,
    clients: impl Clients,
    sdl: &str,
    settings: Settings,
    sink: Arc<Sink>,
    gate: Arc<Gate>,
) -> Server {
    let routes = graphql_transport::routes(clients, sdl, settings).unwrap();
    let leaving = Arc::clone(&gate);
    let app = Router::new().nest("/graphql", routes).layer(from_fn(move |request, next: Next| {
        let leaving = Leaving(Arc::clone(&leaving));
        async move {
            let answer = next.run(request).await;
            drop(leaving);
            answer
        }
    }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Server { address, sink, gate }
}
