//! Calls of a kind after a run: place the result, publish, reconcile, roll back, fail, purge.

use std::any::Any;
use std::sync::Arc;

use tracing::Instrument;

use super::Context;
use super::kind::{Failure, Kind, Termination};
use crate::spawn::spawn;
use crate::task::ResultFile;

/// A call of a kind after a run.
pub(super) enum KindCall {
    Place(Option<ResultFile>),
    Publish(Option<ResultFile>),
    Reconcile,
    RollBack,
    Fail,
    Purge,
}

/// Makes the call.
pub(super) async fn call(kind: &Arc<dyn Kind>, context: &Context, call: KindCall) -> Result<(), Failure> {
    let (kind, context) = (Arc::clone(kind), context.clone());
    let work = async move {
        match call {
            KindCall::Place(result) => kind.place_result(&context, result.as_ref()).await,
            KindCall::Publish(result) => kind.publish(&context, result.as_ref()).await,
            KindCall::Reconcile => kind.reconcile(&context).await,
            KindCall::RollBack => kind.rollback(&context).await,
            KindCall::Fail => kind.fail(&context).await,
            KindCall::Purge => kind.purge(&context).await,
        }
    };
    guarded(work).await
}

/// Ends a task that is terminated.
pub(super) async fn terminate(kind: &Arc<dyn Kind>, context: &Context) -> Result<Termination, Failure> {
    let (kind, context) = (Arc::clone(kind), context.clone());
    guarded(async move { kind.terminate(&context).await }).await
}

/// Runs `work` on a tokio task of its own, so that a panic in it is an error like any other.
async fn guarded<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let handle = spawn(work.in_current_span());
    handle.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => Err(panic_failure("The kind", &*panic)),
        Err(_) => Err(Failure::internal("The call of the kind was aborted.")),
    })
}

/// Returns the failure of what panicked.
pub(super) fn panic_failure(what: &str, panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::internal(format!("{what} panicked: {}", text.unwrap_or("(no message)")))
}
