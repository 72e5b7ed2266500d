//! The executor as every transport sees it: requests are checked before it, errors get their
//! codes behind it, and a panic of a resolver is an answer.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use async_graphql::{Data, Executor, Request, Response, ServerError, parser::types::OperationType};
use futures_util::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use tracing::Instrument;

use super::{codes, guard};

/// An executor behind the checks of the transport.
#[derive(Clone)]
pub struct Admission<E> {
    inner: E,
    max_selections: usize,
}

/// A request that passed the checks.
pub struct Admitted {
    request: Request,
    kind: Option<OperationType>,
}

impl Admitted {
    /// What the operation does; nothing where the request names none that exists.
    pub fn kind(&self) -> Option<OperationType> {
        self.kind
    }
}

impl<E: Executor> Admission<E> {
    /// Puts the checks before `inner`; `max_selections` is the most that a query may expand to.
    pub fn new(inner: E, max_selections: usize) -> Self {
        Self { inner, max_selections }
    }

    /// Parses and checks a request. An error is the client's, with its code.
    pub fn admit(&self, mut request: Request) -> Result<Admitted, ServerError> {
        let kind = guard::check(&mut request, self.max_selections)?;
        Ok(Admitted { request, kind })
    }

    /// Runs a query or mutation. A mutation goes on to its end even where its client goes away.
    pub async fn run(&self, admitted: Admitted) -> Response {
        let Admitted { request, kind } = admitted;
        let inner = self.inner.clone();
        let work = async move { inner.execute(request).await };
        let work = AssertUnwindSafe(work).catch_unwind();
        let outcome = if kind == Some(OperationType::Mutation) {
            let task = tokio::spawn(work.in_current_span());
            task.await.unwrap_or_else(|error| Err(Box::new(error)))
        } else {
            work.await
        };
        codes::coded(outcome.unwrap_or_else(panicked))
    }

    /// Runs an operation of any kind as a stream of results.
    pub fn stream(&self, admitted: Admitted, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        if admitted.kind != Some(OperationType::Subscription) && session.is_none() {
            let executor = self.clone();
            return stream::once(async move { executor.run(admitted).await }).boxed();
        }
        let results = self.inner.execute_stream(admitted.request, session);
        AssertUnwindSafe(results).catch_unwind().map(|result| codes::coded(result.unwrap_or_else(panicked))).boxed()
    }
}

impl<E: Executor> Executor for Admission<E> {
    async fn execute(&self, request: Request) -> Response {
        match self.admit(request) {
            Ok(admitted) => self.run(admitted).await,
            Err(error) => Response::from_errors(vec![error]),
        }
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        match self.admit(request) {
            Ok(admitted) => self.stream(admitted, session),
            Err(error) => stream::once(async { Response::from_errors(vec![error]) }).boxed(),
        }
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let cause = codes::panic_text(panic.as_ref());
    Response::from_errors(vec![codes::internal(&cause)])
}
