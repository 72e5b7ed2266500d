//! An executor that checks requests before they run, adds codes to errors, and turns a panic of a resolver into an error.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use async_graphql::{Executor, Request, Response, ServerError, parser::types::OperationType};
use futures_util::{
    FutureExt, StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{
    codes, guard,
    limit::{CallerLimit, LimitExceeded},
    observer::{Observer, OperationKind},
    settings::Settings,
    traced,
};

/// An executor with the checks of the transport.
#[derive(Clone)]
pub struct Admission<E> {
    inner: E,
    max_selections: usize,
    observer: Arc<dyn Observer>,
    under_way: TaskTracker,
}

/// A request that passed the checks.
pub struct Admitted {
    request: Request,
    kind: Option<OperationType>,
}

impl Admitted {
    /// Returns the type of the operation. None if the request selects no operation of its document.
    pub fn kind(&self) -> Option<OperationType> {
        self.kind
    }
}

impl<E: Executor> Admission<E> {
    /// Adds the checks to `inner`.
    pub fn new(inner: E, settings: &Settings) -> Self {
        let (observer, under_way) = (Arc::clone(&settings.observer), settings.sockets.clone());
        Self { inner, max_selections: settings.max_selections, observer, under_way }
    }

    /// Parses and checks a request.
    ///
    /// # Errors
    /// The error of the request, with its code.
    pub fn admit(&self, mut request: Request) -> Result<Admitted, ServerError> {
        match guard::check(&mut request, self.max_selections) {
            Ok(kind) => Ok(Admitted { request, kind }),
            Err(error) => {
                self.observer.operation(OperationKind::Unknown, &codes::all(std::slice::from_ref(&error)));
                Err(error)
            }
        }
    }

    /// Counts a request over HTTP.
    ///
    /// # Errors
    /// If its caller must wait.
    pub async fn count(&self, limit: Option<&CallerLimit>) -> Result<(), LimitExceeded> {
        let Some(CallerLimit(limit)) = limit else { return Ok(()) };
        let counted = limit.admit().await;
        if let Err(exceeded) = &counted {
            self.observer.operation(OperationKind::Unknown, &codes::all(&[exceeded.error()]));
        }
        counted
    }

    /// Counts an operation of a WebSocket and runs it, or gives the error as its only result.
    pub fn stream_counted(&self, admitted: Admitted, limit: Option<CallerLimit>) -> BoxStream<'static, Response> {
        if limit.is_none() {
            return self.stream(admitted);
        }
        let executor = self.clone();
        let counted = async move {
            match executor.count(limit.as_ref()).await {
                Ok(()) => executor.stream(admitted),
                Err(exceeded) => stream::once(ready(Response::from_errors(vec![exceeded.error()]))).boxed(),
            }
        };
        stream::once(counted).flatten().boxed()
    }

    /// Runs a query or mutation. A mutation that has begun runs to its end when its client disconnects.
    pub async fn run(&self, mut admitted: Admitted) -> Response {
        let span = traced::span(&mut admitted.request, admitted.kind.into());
        let response = self.executed(admitted).instrument(span.clone()).await;
        traced::answered(&span, &response);
        response
    }

    async fn executed(&self, admitted: Admitted) -> Response {
        let Admitted { request, kind } = admitted;
        let (inner, observer) = (self.inner.clone(), Arc::clone(&self.observer));
        let work = async move {
            let begin = Instant::now();
            let outcome = AssertUnwindSafe(inner.execute(request)).catch_unwind().await;
            let response = codes::coded(outcome.unwrap_or_else(panicked));
            observer.operation(kind.into(), &codes::all(&response.errors));
            observer.duration(kind.into(), begin.elapsed());
            response
        };
        if kind != Some(OperationType::Mutation) {
            return work.await;
        }
        let task = self.under_way.spawn(work.in_current_span());
        task.await.unwrap_or_else(|error| panicked(Box::new(error)))
    }

    /// Runs an operation of any type as a stream of results.
    pub fn stream(&self, mut admitted: Admitted) -> BoxStream<'static, Response> {
        if admitted.kind != Some(OperationType::Subscription) {
            let executor = self.clone();
            return stream::once(async move { executor.run(admitted).await }).boxed();
        }
        // The span ends with the stream.
        let span = traced::span(&mut admitted.request, admitted.kind.into());
        let results = self.inner.execute_stream(admitted.request, None);
        let mut counting = StreamReport { observer: Arc::clone(&self.observer), kind: admitted.kind, counted: false };
        AssertUnwindSafe(results)
            .catch_unwind()
            .map(move |result| {
                let response = codes::coded(result.unwrap_or_else(panicked));
                counting.result(&response);
                traced::answered(&span, &response);
                response
            })
            .boxed()
    }
}

/// Reports the operation of a stream with its first result, or at its end.
struct StreamReport {
    observer: Arc<dyn Observer>,
    kind: Option<OperationType>,
    counted: bool,
}

impl StreamReport {
    fn result(&mut self, response: &Response) {
        let codes = codes::all(&response.errors);
        if std::mem::replace(&mut self.counted, true) {
            self.observer.errors(&codes);
        } else {
            self.observer.operation(self.kind.into(), &codes);
        }
    }
}

impl Drop for StreamReport {
    fn drop(&mut self) {
        if !self.counted {
            self.observer.operation(self.kind.into(), &[]);
        }
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let cause = codes::panic_text(panic.as_ref());
    Response::from_errors(vec![codes::internal(&cause)])
}
