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
    codes,
    document::{Documents, InvalidSchema, Selected},
    limit::{CallerLimit, LimitExceeded},
    observer::{Observer, OperationKind},
    persisted::Texts,
    settings::Settings,
    traced,
};

/// An executor with the checks of the transport.
#[derive(Clone)]
pub struct Admission<E> {
    inner: E,
    documents: Arc<Documents>,
    texts: Arc<Texts>,
    observer: Arc<dyn Observer>,
    under_way: TaskTracker,
}

/// A request that passed the checks.
pub struct Admitted {
    request: Request,
    selected: Selected,
}

impl Admitted {
    /// Returns the type of the operation.
    pub fn kind(&self) -> OperationType {
        self.selected.kind()
    }
}

impl<E: Executor> Admission<E> {
    /// Adds the checks to `inner`, whose schema is `sdl`.
    pub fn new(inner: E, sdl: &str, settings: &Settings) -> Result<Self, InvalidSchema> {
        let (observer, under_way) = (Arc::clone(&settings.observer), settings.sockets.clone());
        let documents = Arc::new(Documents::new(sdl, settings)?);
        let Settings { persisted, persisted_only, persisted_query_bytes, .. } = settings.clone();
        let texts = Arc::new(Texts::new(persisted, persisted_only, persisted_query_bytes));
        Ok(Self { inner, documents, texts, observer, under_way })
    }

    /// Returns the documents that requests may name.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Parses and validates a request.
    ///
    /// # Errors
    /// The errors of the request, with their codes.
    pub fn admit(&self, mut request: Request) -> Result<Admitted, Vec<ServerError>> {
        match self.documents.select(&mut request) {
            Ok(selected) => Ok(Admitted { request, selected }),
            Err(errors) => {
                self.observer.operation(OperationKind::Unknown, &codes::all(&errors));
                Err(errors)
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
    pub async fn run(&self, admitted: Admitted) -> Response {
        let span = traced::span(&admitted.selected);
        let response = self.executed(admitted).instrument(span.clone()).await;
        traced::answered(&span, &response);
        response
    }

    async fn executed(&self, admitted: Admitted) -> Response {
        let Admitted { request, selected } = admitted;
        let kind = selected.kind();
        let (inner, observer, documents) =
            (self.inner.clone(), Arc::clone(&self.observer), Arc::clone(&self.documents));
        let work = async move {
            let begin = Instant::now();
            let outcome = AssertUnwindSafe(inner.execute(request)).catch_unwind().await;
            let response = documents.complete(&selected, codes::coded(outcome.unwrap_or_else(panicked)));
            observer.operation(kind.into(), &codes::all(&response.errors));
            observer.duration(kind.into(), begin.elapsed());
            response
        };
        if kind != OperationType::Mutation {
            return work.await;
        }
        let task = self.under_way.spawn(work.in_current_span());
        task.await.unwrap_or_else(|error| panicked(Box::new(error)))
    }

    /// Runs an operation of any type as a stream of results.
    pub fn stream(&self, admitted: Admitted) -> BoxStream<'static, Response> {
        if admitted.kind() != OperationType::Subscription {
            let executor = self.clone();
            return stream::once(async move { executor.run(admitted).await }).boxed();
        }
        // The span ends with the stream.
        let Admitted { request, selected } = admitted;
        let span = traced::span(&selected);
        let results = self.inner.execute_stream(request, None);
        let documents = Arc::clone(&self.documents);
        let mut counting = StreamReport { observer: Arc::clone(&self.observer), kind: selected.kind(), counted: false };
        AssertUnwindSafe(results)
            .catch_unwind()
            .map(move |result| {
                let response = documents.complete(&selected, codes::coded(result.unwrap_or_else(panicked)));
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
    kind: OperationType,
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
