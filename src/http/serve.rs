//! Serves connections: HTTP/1.1, HTTP/2 and upgrades to WebSockets, within the limits of the settings.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Method, Request, Response};
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

use super::activity::{self, Activity, Watched};
use crate::config::HttpLimits;

/// Maximum time for a connection to close once its time limit has passed.
const CLOSING: Duration = Duration::from_secs(1);

/// Serves `routes` until `stop`, and returns when the requests that were under way have been answered.
pub async fn serve(listener: TcpListener, routes: Router, limits: HttpLimits, stop: CancellationToken) {
    let mut listener = listener.tap_io(send_at_once);
    let (permits, connections) = (Arc::new(Semaphore::new(limits.max_connections)), TaskTracker::new());
    let server = Arc::new(builder(&limits));
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await.0)
        };
        let (Ok(permit), stream) = (tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => break,
        }) else {
            break;
        };
        let activity = Activity::new(limits.clone());
        let stream = TokioIo::new(Watched::new(stream, activity.clone(), permit));
        let (server, stop) = (Arc::clone(&server), stop.clone());
        let routes = Routes { routes: TowerToHyperService::new(routes.clone()), activity: activity.clone() };
        connections.spawn(async move {
            let mut connection = pin!(server.serve_connection_with_upgrades(stream, routes));
            let ended = tokio::select! {
                _ = connection.as_mut() => return,
                () = activity.overdue() => Some(CLOSING),
                () = stop.cancelled() => None,
            };
            connection.as_mut().graceful_shutdown();
            match ended {
                Some(patience) => drop(timeout(patience, connection).await),
                None => drop(connection.await),
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn builder(limits: &HttpLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Header and idle timeouts are those of `Activity`, which knows both protocols.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    let http2 = &mut builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(limits.idle).keep_alive_timeout(limits.headers);
    // WebSockets over HTTP/2 come by CONNECT.
    http2.enable_connect_protocol();
    builder
}

/// An event is small: held back until the client has acknowledged the one before, it would come up to 40 ms late.
fn send_at_once(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY on a connection");
    }
}

/// The routes as one connection asks them.
#[derive(Clone)]
struct Routes {
    routes: TowerToHyperService<Router>,
    activity: Activity,
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Answer>, Infallible>>;

    fn call(&self, asked: Request<Incoming>) -> Self::Future {
        let mut request = self.activity.begin();
        if asked.method() == Method::CONNECT {
            request.upgrade();
        }
        let answer = self.routes.call(asked);
        async move { Ok(answer.await?.map(|body| Answer { body, _request: request })) }.boxed()
    }
}

/// The body of an answer; its request is under way until it is sent.
struct Answer {
    body: Body,
    _request: activity::Request,
}

impl HttpBody for Answer {
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
