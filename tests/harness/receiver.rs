//! A webhook receiver on loopback that answers as the story requires and records every request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::serve::{Listener, ListenerExt};
use jiff::Timestamp;
use pausa::clock::Clock;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::server::PATIENCE;

/// A received webhook.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Time of receipt.
    pub at: Timestamp,
    pub method: Method,
    pub version: Version,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Hook {
    /// Returns the task's ID, the last segment of the path.
    pub fn id(&self) -> String {
        let path = self.path.split('?').next().unwrap();
        path.rsplit('/').next().unwrap().to_owned()
    }

    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Answer of the receiver to a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status and a Retry-After header.
    RetryAfter(u16, &'static str),
    /// Answers with a redirect to itself.
    Redirect,
    /// Reads the request and never answers.
    Never,
    /// Answers with 200 after this time.
    Late(Duration),
}

/// Returns the answer to a hook, given the number of earlier hooks of the same task.
type Script = dyn Fn(&Hook, usize) -> Answer + Send + Sync;

struct Inner {
    hooks: watch::Sender<Vec<Hook>>,
    script: Mutex<Arc<Script>>,
    clock: Clock,
    /// True if the receiver uses TLS.
    connections: AtomicUsize,
}

/// The receiver. It stops at the end of the test.
#[derive(Clone)]
pub struct Receiver {
    /// Base URL, without a path.
    pub url: String,
    inner: Arc<Inner>,
}

impl Receiver {
    /// Starts a receiver that answers each hook as `script` specifies.
    pub async fn start(script: impl Fn(&Hook, usize) -> Answer + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Receiver::new(format!("http://{}", listener.local_addr().unwrap()), script);
        let (routes, listener) = (receiver.routes(), listener.tap_io(|stream| stream.set_nodelay(true).unwrap()));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        receiver
    }

    /// Starts a receiver that accepts every hook by HTTPS. Returns it with its certificate in PEM.
    pub async fn secure() -> (Receiver, String) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", tcp.local_addr().unwrap().port());
        let receiver = Receiver::new(url, |_, _| Answer::Status(200));
        let listener = Secure { tcp, acceptor: Arc::new(config).into(), inner: Arc::clone(&receiver.inner) };
        let routes = receiver.routes();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (receiver, own.cert.pem())
    }

    fn new(url: String, script: impl Fn(&Hook, usize) -> Answer + Send + Sync + 'static) -> Receiver {
        let script: Mutex<Arc<Script>> = Mutex::new(Arc::new(script));
        let (hooks, clock, connections) = (watch::Sender::default(), Clock::system(), AtomicUsize::new(0));
        Receiver { url, inner: Arc::new(Inner { hooks, script, clock, connections }) }
    }

    fn routes(&self) -> Router {
        Router::new().fallback(receive).with_state(Arc::clone(&self.inner))
    }

    /// Starts a receiver that accepts every hook.
    pub async fn kind() -> Receiver {
        Receiver::start(|_, _| Answer::Status(200)).await
    }

    /// Changes how the receiver answers later requests.
    pub fn change(&self, script: impl Fn(&Hook, usize) -> Answer + Send + Sync + 'static) {
        *self.inner.script.lock().unwrap() = Arc::new(script);
    }

    /// Returns all hooks in the order of receipt.
    pub fn hooks(&self) -> Vec<Hook> {
        self.inner.hooks.borrow().clone()
    }

    /// Returns the number of hooks received.
    pub fn count(&self) -> usize {
        self.inner.hooks.borrow().len()
    }

    /// Returns the number of TLS connections made.
    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::Relaxed)
    }

    /// Waits until this many hooks have been received.
    pub async fn until(&self, count: usize) -> Vec<Hook> {
        let mut hooks = self.inner.hooks.subscribe();
        // `wait_for` returns a borrow, which blocks writers. Keeping it during the next read would cause a deadlock.
        let came = tokio::time::timeout(PATIENCE, hooks.wait_for(|hooks| hooks.len() >= count)).await.is_ok();
        assert!(came, "only {} of {count} webhooks were received", self.count());
        self.hooks()
    }
}

/// TLS connections.
struct Secure {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    inner: Arc<Inner>,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = self.tcp.accept().await.unwrap();
            self.inner.connections.fetch_add(1, Ordering::Relaxed);
            // A client that does not trust the certificate disconnects.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn receive(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let at = inner.clock.now();
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().to_string();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let hook = Hook { at, method: head.method, version: head.version, path, headers: head.headers, body };
    let script = Arc::clone(&inner.script.lock().unwrap());
    let mut answer = Answer::Never;
    inner.hooks.send_modify(|hooks| {
        let before = hooks.iter().filter(|other| other.id() == hook.id()).count();
        answer = script(&hook, before);
        hooks.push(hook.clone());
    });
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match answer {
        Answer::Status(code) => (status(code), "as the story requires").into_response(),
        Answer::RetryAfter(code, after) => (status(code), [("retry-after", after)]).into_response(),
        Answer::Redirect => (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response(),
        Answer::Never => std::future::pending().await,
        Answer::Late(time) => {
            tokio::time::sleep(time).await;
            StatusCode::OK.into_response()
        }
    }
}
