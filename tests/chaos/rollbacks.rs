//! Rollbacks that can never succeed: the task ends with the reason, can be deleted, and disturbs no other task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use pausa::clock::Clock;
use pausa::runner::{BadInput, Context, Failure, Kind, Report, StopReason, TaskPlan};
use pausa::task::{Code, ResultFile, Unit};
use serde_json::{Value, json};

use crate::harness::embedded::Embedded;
use crate::harness::server::PATIENCE;

/// A kind whose rollback fails. Its run waits until it is stopped, or fails if the spec says so.
struct Stuck {
    failure: fn() -> Failure,
    rollbacks: AtomicU32,
}

#[async_trait]
impl Kind for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn plan(&self, _spec: &Value) -> Result<TaskPlan, BadInput> {
        Ok(TaskPlan { unit: Unit::Terms, total: None, unique_key: None, upload: None, concurrency_key: None })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        context.checkpoint(&1, Report { phase: "working", done: 1, total: None }).await?;
        if context.spec::<Value>()?["fails"] == true {
            return Err(Failure::input("The spec says that it fails.").into());
        }
        Err(context.stopped().await)
    }

    async fn rollback(&self, _context: &Context) -> Result<(), Failure> {
        self.rollbacks.fetch_add(1, Ordering::SeqCst);
        Err((self.failure)())
    }
}

/// Starts a server with the kind, whose failed attempts follow each other at once.
async fn server(failure: fn() -> Failure, more: &[(&str, &str)]) -> (Embedded, Arc<Stuck>) {
    let kind = Arc::new(Stuck { failure, rollbacks: AtomicU32::new(0) });
    let settings = [&[("PAUSA_RETRY_LIMIT", "1"), ("PAUSA_RETRY_BACKOFF_SECONDS", "0.001")], more].concat();
    let server = Embedded::start(&settings, vec![Arc::clone(&kind) as Arc<dyn Kind>], Clock::system()).await;
    (server, kind)
}

async fn start(server: &Embedded, spec: &str) -> String {
    let query = format!("mutation {{ startCustom(input: {{ name: \"stuck\", spec: {spec} }}) {{ id }} }}");
    server.ask(&query).await["data"]["startCustom"]["id"].as_str().unwrap().to_owned()
}

/// Terminates a running task. Returns it when it has failed.
async fn terminate(server: &Embedded, id: &str) -> Value {
    server.until(id, "RUNNING").await;
    let asked = server.ask(&format!("mutation {{ terminate(id: \"{id}\") {{ id }} }}")).await;
    assert_eq!(asked["data"]["terminate"]["id"], id, "{asked}");
    failed(server, id).await
}

async fn failed(server: &Embedded, id: &str) -> Value {
    server.until(id, "FAILED").await;
    server.ask(&format!("{{ task(id: \"{id}\") {{ state error {{ code message }} }} }}")).await["data"]["task"].take()
}

async fn delete(server: &Embedded, id: &str) {
    let deleted = server.ask(&format!("mutation {{ deleteTask(id: \"{id}\") }}")).await;
    assert_eq!(deleted["data"]["deleteTask"], *id, "{deleted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_never_succeeds_ends_the_task_after_eight_attempts() {
    let (server, kind) = server(|| Failure::internal("The disk is broken."), &[]).await;
    let id = start(&server, "{}").await;
    let task = terminate(&server, &id).await;
    let message = "The rollback failed: The disk is broken. Deleting the task attempts it again.";
    assert_eq!(task["error"], json!({ "code": "INTERNAL", "message": message }));
    assert_eq!(kind.rollbacks.load(Ordering::SeqCst), 8);
    delete(&server, &id).await;
    assert_eq!(kind.rollbacks.load(Ordering::SeqCst), 9, "the deletion attempts it again");
    assert!(server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permanent_error_of_a_rollback_ends_the_task_at_once() {
    let (server, kind) = server(|| Failure::permanent(Code::Internal, "The disk is lost."), &[]).await;
    let (stopped, failing) = (start(&server, "{}").await, start(&server, "{ fails: true }").await);
    terminate(&server, &stopped).await;
    let task = failed(&server, &failing).await;
    let message =
        "The spec says that it fails. Then the rollback failed: The disk is lost. Deleting the task attempts it again.";
    assert_eq!(task["error"], json!({ "code": "BAD_USER_INPUT", "message": message }));
    assert_eq!(kind.rollbacks.load(Ordering::SeqCst), 2);
    for id in [&stopped, &failing] {
        delete(&server, id).await;
    }
    assert!(server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_fails_is_not_repeated_forever_for_its_rollback() {
    let (server, kind) = server(|| Failure::internal("The disk is broken."), &[]).await;
    let task = failed(&server, &start(&server, "{ fails: true }").await).await;
    assert!(task["error"]["message"].as_str().unwrap().contains("The disk is broken."), "{task}");
    assert_eq!(kind.rollbacks.load(Ordering::SeqCst), 9, "one attempt more than the limit of failures");
    assert!(server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_goes_on_beside_tasks_that_cannot_be_removed() {
    let failure = || Failure::permanent(Code::Internal, "The disk is lost.");
    let (server, kind) = server(failure, &[("PAUSA_RETENTION_SECONDS", "0.2")]).await;
    // More than the number of purges that a node makes at once.
    for _ in 0..10 {
        start(&server, "{ fails: true }").await;
    }
    server.ask("mutation { startPiJob(input: { digits: 10 }) { id } }").await;
    let gone = async {
        // Each was rolled back at its end and at its deletion.
        while kind.rollbacks.load(Ordering::SeqCst) < 20
            || server.ask("{ tasks { nodes { id } } }").await["data"]["tasks"]["nodes"] != json!([])
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("a task was not deleted in time");
    assert!(server.end().await);
}
