//! Accepts connections and serves HTTP/1.1, HTTP/2 and WebSockets, within the limits of the settings.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use axum::serve::{Listener, ListenerExt};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::{ActiveRequest, Activity};
use super::client_address::PeerAddress;
use super::tracked_stream::TrackedStream;
use crate::config::{Config, HttpLimits};
use crate::spawn::spawn_tracked;

/// Number of headers for which hyper needs no memory of its own.
const HEADERS_ON_STACK: usize = 100;

/// The two steps in which a server stops.
#[derive(Clone)]
pub struct ServeSignals {
    /// Continue to serve, but make clients open their next connection elsewhere.
    pub draining: CancellationToken,
    /// Accept no connection any more, and answer what has arrived.
    pub stop: CancellationToken,
}

/// Serves `routes` until `signals.stop` is cancelled. Returns when every active request has been answered.
pub async fn serve(listener: TcpListener, routes: Router, config: Arc<Config>, signals: ServeSignals) {
    let (limits, websocket_close) = (&config.http, config.websocket.close);
    let mut listener = listener.tap_io(disable_nagle);
    let (permits, connections) = (Arc::new(Semaphore::new(limits.max_connections)), TaskTracker::new());
    let server = Arc::new(builder(limits));
    let closing = limits.close;
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let (stream, peer) = listener.accept().await;
            (permit, stream, PeerAddress(peer.ip()))
        };
        let (Ok(permit), stream, peer) = (tokio::select! {
            accepted = accepted => accepted,
            () = signals.stop.cancelled() => break,
        }) else {
            break;
        };
        let activity = Activity::new(limits.clone());
        let stream = TrackedStream::new(stream, activity.clone(), websocket_close, permit);
        let routes = ConnectionRoutes {
            routes: TowerToHyperService::new(routes.clone()),
            activity,
            peer,
            draining: signals.draining.clone(),
            leave: CancellationToken::new(),
        };
        spawn_tracked(&connections, serve_connection(Arc::clone(&server), stream, routes, closing, signals.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Serves one connection until the client closes it, a time limit has passed, or the server stops.
async fn serve_connection(
    server: Arc<Builder<TokioExecutor>>,
    stream: TrackedStream,
    routes: ConnectionRoutes,
    closing: Duration,
    signals: ServeSignals,
) {
    let (activity, leave) = (routes.activity.clone(), routes.leave.clone());
    let mut connection = pin!(server.serve_connection_with_upgrades(TokioIo::new(stream), routes));
    let mut left = false;
    let limit = loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = activity.overdue() => break Some(closing),
            () = signals.stop.cancelled() => break None,
            () = must_leave(&signals.draining, &activity, &leave), if !left => {
                connection.as_mut().graceful_shutdown();
                left = true;
            }
        }
    };
    connection.as_mut().graceful_shutdown();
    match limit {
        Some(limit) => drop(timeout(limit, connection).await),
        None => drop(connection.await),
    }
}

/// Returns when the server drains and the connection uses HTTP/2: GOAWAY makes the client open another connection, and its
/// requests are still answered. For HTTP/1.1 each response says `Connection: close`: to close an idle connection could break
/// a request that is on its way.
async fn must_leave(draining: &CancellationToken, activity: &Activity, leave: &CancellationToken) {
    draining.cancelled().await;
    if !activity.is_http2() {
        leave.cancelled().await;
    }
}

fn builder(limits: &HttpLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // `Activity` enforces the header and idle timeouts for both protocols.
    let http1 = &mut builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(limits.max_header_bytes);
    if limits.max_headers != HEADERS_ON_STACK {
        http1.max_headers(limits.max_headers);
    }
    let http2 = &mut builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(limits.idle).keep_alive_timeout(limits.headers);
    http2.max_concurrent_streams(limits.max_concurrent_streams).max_header_list_size(limits.http2_max_header_bytes);
    // WebSockets over HTTP/2 use CONNECT.
    http2.enable_connect_protocol();
    builder
}

/// Disables Nagle's algorithm, which would delay small events by up to 40 ms.
fn disable_nagle(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY on a connection");
    }
}

/// The routes, for the requests of one connection.
#[derive(Clone)]
struct ConnectionRoutes {
    routes: TowerToHyperService<Router>,
    activity: Activity,
    peer: PeerAddress,
    draining: CancellationToken,
    /// Cancelled by the first HTTP/2 request that arrives while the server drains.
    leave: CancellationToken,
}

impl Service<Request<Incoming>> for ConnectionRoutes {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<TrackedBody>, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let mut active = self.activity.begin();
        if request.method() == Method::CONNECT {
            active.upgrade();
        }
        let (draining, leave, version) = (self.draining.clone(), self.leave.clone(), request.version());
        let activity = self.activity.clone();
        let response = self.routes.call(request);
        async move {
            let mut response = response.await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                activity.upgrade();
            }
            if draining.is_cancelled() {
                match version {
                    Version::HTTP_2 => leave.cancel(),
                    _ if response.status() == StatusCode::SWITCHING_PROTOCOLS => {}
                    _ => drop(response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"))),
                }
            }
            Ok(response.map(|body| TrackedBody { body, _active: active }))
        }
        .boxed()
    }
}

/// The body of a response. Its request is active until the body is sent.
struct TrackedBody {
    body: Body,
    _active: ActiveRequest,
}

impl HttpBody for TrackedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
