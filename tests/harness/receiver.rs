//! A receiver of webhooks on loopback, which answers as the story says and remembers what it got.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use jiff::Timestamp;
use pausa::clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::server::PATIENCE;

/// A webhook as it came in.
#[derive(Clone, Debug)]
pub struct Hook {
    /// When.
    pub at: Timestamp,
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Hook {
    /// The task's id, which its path ends in.
    pub fn id(&self) -> String {
        let path = self.path.split('?').next().unwrap();
        path.rsplit('/').next().unwrap().to_owned()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What it does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Answers with that status.
    Status(u16),
    /// The same, with a Retry-After.
    RetryAfter(u16, &'static str),
    /// Answers with a redirect to itself.
    Redirect,
    /// Reads it and never answers.
    Never,
    /// Answers with 200 after that time.
    Late(Duration),
}

/// What it answers: the hook, and how many came before it for the same task.
type Script = dyn Fn(&Hook, usize) -> Answer + Send + Sync;

struct Inner {
    hooks: watch::Sender<Vec<Hook>>,
    script: Mutex<Arc<Script>>,
    clock: Clock,
}

/// The receiver. It ends with the test.
#[derive(Clone)]
pub struct Receiver {
    /// Its address, without a path.
    pub url: String,
    inner: Arc<Inner>,
}

impl Receiver {
    /// Starts one that answers each hook as `script` says.
    pub async fn start(script: impl Fn(&Hook, usize) -> Answer + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script: Arc<Script> = Arc::new(script);
        let hooks = watch::Sender::default();
        let inner = Arc::new(Inner { hooks, script: Mutex::new(script), clock: Clock::system() });
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&inner));
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Receiver { url, inner }
    }

    /// Starts one that takes everything.
    pub async fn kind() -> Receiver {
        Receiver::start(|_, _| Answer::Status(200)).await
    }

    /// It answers otherwise from now on.
    pub fn change(&self, script: impl Fn(&Hook, usize) -> Answer + Send + Sync + 'static) {
        *self.inner.script.lock().unwrap() = Arc::new(script);
    }

    /// All that came, in the order in which it came.
    pub fn hooks(&self) -> Vec<Hook> {
        self.inner.hooks.borrow().clone()
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.inner.hooks.borrow().len()
    }

    /// Waits until so many have come.
    pub async fn until(&self, count: usize) -> Vec<Hook> {
        let mut hooks = self.inner.hooks.subscribe();
        let came = tokio::time::timeout(PATIENCE, hooks.wait_for(|hooks| hooks.len() >= count)).await;
        assert!(came.is_ok(), "{} of {count} webhooks came", self.count());
        self.hooks()
    }
}

async fn receive(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let at = inner.clock.now();
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().to_string();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let hook = Hook { at, method: head.method, path, headers: head.headers, body };
    let script = Arc::clone(&inner.script.lock().unwrap());
    let mut answer = Answer::Never;
    inner.hooks.send_modify(|hooks| {
        let before = hooks.iter().filter(|other| other.id() == hook.id()).count();
        answer = script(&hook, before);
        hooks.push(hook.clone());
    });
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match answer {
        Answer::Status(code) => (status(code), "as the story says").into_response(),
        Answer::RetryAfter(code, after) => (status(code), [("retry-after", after)]).into_response(),
        Answer::Redirect => (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response(),
        Answer::Never => std::future::pending().await,
        Answer::Late(time) => {
            tokio::time::sleep(time).await;
            StatusCode::OK.into_response()
        }
    }
}
