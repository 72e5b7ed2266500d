//! Checks requests before they run, adds codes to the errors of executors, and turns a panic of a resolver into an error.

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
    client::Client,
    codes,
    document::{Documents, InvalidSchema, Selected},
    limit::LimitExceeded,
    manifest::PersistedDocuments,
    observer::{Observer, OperationKind},
    persisted::Texts,
    settings::Settings,
    traced,
};

/// The checks of the transport.
#[derive(Clone)]
pub struct Admission {
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

impl Admission {
    /// Creates the checks of requests to executors whose schema is `sdl`.
    pub fn new(sdl: &str, settings: &Settings) -> Result<Self, InvalidSchema> {
        let (observer, under_way) = (Arc::clone(&settings.observer), settings.sockets.clone());
        let documents = Arc::new(Documents::new(sdl, settings)?);
        let Settings { persisted, persisted_only, persisted_query_bytes, .. } = settings.clone();
        report_invalid(&documents, &persisted);
        let texts = Arc::new(Texts::new(persisted, persisted_only, persisted_query_bytes));
        Ok(Self { documents, texts, observer, under_way })
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

    /// Counts an operation of `client`.
    ///
    /// # Errors
    /// If the client must wait.
    pub async fn count<E>(&self, client: &Client<E>) -> Result<(), LimitExceeded> {
        let Some(limit) = &client.limit else { return Ok(()) };
        let counted = limit.admit().await;
        if let Err(exceeded) = &counted {
            self.observer.operation(OperationKind::Unknown, &codes::all(&[exceeded.error()]));
        }
        counted
    }

    /// Counts an operation of a WebSocket and runs it, or gives the error as its only result.
    pub fn stream_counted<E: Executor>(&self, client: &Client<E>, admitted: Admitted) -> BoxStream<'static, Response> {
        if client.limit.is_none() {
            return self.stream(&client.executor, admitted);
        }
        let (admission, client) = (self.clone(), client.clone());
        let counted = async move {
            match admission.count(&client).await {
                Ok(()) => admission.stream(&client.executor, admitted),
                Err(exceeded) => stream::once(ready(Response::from_errors(vec![exceeded.error()]))).boxed(),
            }
        };
        stream::once(counted).flatten().boxed()
    }

    /// Runs a query or mutation. A mutation that has begun runs to its end when its client disconnects.
    pub async fn run<E: Executor>(&self, executor: &E, admitted: Admitted) -> Response {
        let span = traced::span(&admitted.selected);
        let response = self.executed(executor, admitted).instrument(span.clone()).await;
        traced::answered(&span, &response);
        response
    }

    async fn executed<E: Executor>(&self, executor: &E, admitted: Admitted) -> Response {
        let Admitted { request, selected } = admitted;
        let kind = selected.kind();
        let (executor, observer, documents) =
            (executor.clone(), Arc::clone(&self.observer), Arc::clone(&self.documents));
        let work = async move {
            let begin = Instant::now();
            let outcome = AssertUnwindSafe(executor.execute(request)).catch_unwind().await;
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
    pub fn stream<E: Executor>(&self, executor: &E, admitted: Admitted) -> BoxStream<'static, Response> {
        if admitted.kind() != OperationType::Subscription {
            let (admission, executor) = (self.clone(), executor.clone());
            return stream::once(async move { admission.run(&executor, admitted).await }).boxed();
        }
        // The span ends with the stream.
        let Admitted { request, selected } = admitted;
        let span = traced::span(&selected);
        let results = executor.execute_stream(request, None);
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

/// Logs if persisted documents are invalid. They may be those of clients for an older schema, so the others are served.
fn report_invalid(documents: &Documents, persisted: &PersistedDocuments) {
    let check = |(id, text)| Some((id, documents.check(text).err()?));
    let invalid: Vec<_> = persisted.iter().filter_map(check).collect();
    if let Some((id, error)) = invalid.iter().min_by_key(|(id, _)| *id) {
        let count = invalid.len();
        tracing::warn!(count, id, error = error.message, "persisted documents do not fit the schema");
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
