//! Kinds of an embedding program: one that works, and some that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use pausa::clock::Clock;
use pausa::runner::{BadInput, Context, Failure, Kind, Report, StopReason, TaskPlan};
use pausa::task::{ResultFile, Unit};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::embedded::Embedded;
use crate::harness::server::PATIENCE;

/// Behaviour of the kind in its run.
#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    /// Counts to ten, with a checkpoint for each.
    Counts,
    /// Panics in each attempt.
    Panics,
    /// Fails once, then counts.
    FailsOnce,
    /// Waits forever without a checkpoint.
    Hangs,
    /// Counts to ten. The first publication waits until the story allows it.
    PublishesLate,
    /// Counts to ten. What it left is not removed before the story allows it.
    PurgesLate,
}

struct OddKind {
    behaviour: Behaviour,
    runs: AtomicU32,
    publications: AtomicU32,
    /// Allows the first publication.
    publish: Semaphore,
    /// Allows a purge.
    purge: Semaphore,
}

impl OddKind {
    fn new(behaviour: Behaviour) -> Arc<OddKind> {
        let (runs, publications) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(OddKind { behaviour, runs, publications, publish: Semaphore::new(0), purge: Semaphore::new(0) })
    }
}

#[async_trait]
impl Kind for OddKind {
    fn name(&self) -> &'static str {
        "odd"
    }

    fn plan(&self, spec: &Value) -> Result<TaskPlan, BadInput> {
        match spec["to"].as_u64() {
            Some(total) => Ok(TaskPlan {
                unit: Unit::Terms,
                total: Some(total),
                unique_key: None,
                upload: None,
                concurrency_key: None,
            }),
            None => Err(BadInput::new("spec.to", "spec.to must be a number")),
        }
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        match self.behaviour {
            Behaviour::Panics => panic!("out of cheese"),
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::FailsOnce if run == 0 => return Err(Failure::unavailable("the dairy is closed").into()),
            Behaviour::Counts | Behaviour::FailsOnce | Behaviour::PublishesLate | Behaviour::PurgesLate => {}
        }
        let total = context.spec::<Value>()?["to"].as_u64().unwrap();
        for done in context.cursor::<u64>()?.unwrap_or(0)..total {
            let done = done + 1;
            context.checkpoint(&done, Report { phase: "counting", done, total: Some(total) }).await?;
        }
        Ok(None)
    }

    async fn publish(&self, _context: &Context, _result: Option<&ResultFile>) -> Result<(), Failure> {
        let first = self.publications.fetch_add(1, Ordering::SeqCst) == 0;
        if first && self.behaviour == Behaviour::PublishesLate {
            self.publish.acquire().await.unwrap().forget();
        }
        Ok(())
    }

    async fn rollback(&self, _context: &Context) -> Result<(), Failure> {
        Ok(())
    }

    async fn purge(&self, _context: &Context) -> Result<(), Failure> {
        if self.behaviour == Behaviour::PurgesLate {
            self.purge.acquire().await.unwrap().forget();
        }
        Ok(())
    }
}

/// A server in this process, with the odd kind.
async fn server(behaviour: Behaviour) -> Embedded {
    Embedded::start(&[("PAUSA_RETRY_BACKOFF_SECONDS", "0.01")], vec![OddKind::new(behaviour)], Clock::system()).await
}

async fn begin(server: &Embedded) -> String {
    let answer = server.ask("mutation { startCustom(input: { name: \"odd\", spec: { to: 10 } }) { id } }").await;
    answer["data"]["startCustom"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_kind_of_an_embedding_program_is_a_task_like_any_other() {
    let server = server(Behaviour::Counts).await;
    let id = begin(&server).await;
    server.until(&id, "COMPLETED").await;
    let query = format!(
        "{{ task(id: \"{id}\") {{ kind progress {{ done total unit }} ... on CustomTask {{ name spec output }} }} }}"
    );
    let task = server.ask(&query).await["data"]["task"].take();
    let progress = json!({ "done": 10, "total": 10, "unit": "TERMS" });
    let expected = json!({ "kind": "CUSTOM", "progress": progress, "name": "odd", "spec": { "to": 10 }, "output": 10 });
    assert_eq!(task, expected);
    let listed = server.ask("{ tasks(filter: { kinds: [CUSTOM] }) { totalCount } }").await;
    assert_eq!(listed["data"]["tasks"]["totalCount"], 1);
    assert!(server.end().await);
}

#[tokio::test]
async fn an_invalid_spec_starts_nothing() {
    let server = server(Behaviour::Counts).await;
    for (name, spec, field) in [("odd", "{}", "spec.to"), ("even", "{ to: 1 }", "name"), ("pi", "{ to: 1 }", "name")] {
        let query = format!("mutation {{ startCustom(input: {{ name: \"{name}\", spec: {spec} }}) {{ id }} }}");
        let error = server.ask(&query).await["errors"][0]["extensions"].take();
        assert_eq!((error["code"].as_str(), error["field"].as_str()), (Some("BAD_USER_INPUT"), Some(field)), "{name}");
    }
    assert_eq!(server.ask("{ tasks { totalCount } }").await["data"]["tasks"]["totalCount"], 0);
    assert!(server.end().await);
}

#[tokio::test]
async fn a_run_that_panics_is_retried_and_then_fails() {
    let server = server(Behaviour::Panics).await;
    let id = begin(&server).await;
    let task = server.until(&id, "FAILED").await;
    assert_eq!(task["attempt"], 2, "three attempts, two of them retries");
    assert_eq!(task["error"]["code"], "INTERNAL");
    assert!(task["error"]["message"].as_str().unwrap().contains("out of cheese"));
    assert!(server.end().await);
}

#[tokio::test]
async fn a_run_that_fails_once_completes_in_the_next_attempt() {
    let server = server(Behaviour::FailsOnce).await;
    let id = begin(&server).await;
    let task = server.until(&id, "COMPLETED").await;
    assert_eq!((task["attempt"].as_u64(), &task["error"]), (Some(1), &Value::Null));
    assert!(server.end().await);
}

#[tokio::test]
async fn a_run_that_hangs_is_aborted_when_it_must_stop() {
    let server = server(Behaviour::Hangs).await;
    let id = begin(&server).await;
    server.until(&id, "RUNNING").await;
    server.ask(&format!("mutation {{ pause(id: \"{id}\") {{ state }} }}")).await;
    server.until(&id, "PAUSED").await;
    server.ask(&format!("mutation {{ resume(id: \"{id}\") {{ state }} }}")).await;
    server.until(&id, "RUNNING").await;
    server.ask(&format!("mutation {{ terminate(id: \"{id}\") {{ state }} }}")).await;
    server.until(&id, "TERMINATED").await;
    assert!(server.end().await);
}

#[tokio::test]
async fn a_task_that_is_being_published_holds_no_slot() {
    let odd = OddKind::new(Behaviour::PublishesLate);
    let kinds: Vec<Arc<dyn Kind>> = vec![Arc::clone(&odd) as Arc<dyn Kind>];
    let server = Embedded::start(&[("PAUSA_MAX_RUNNING", "1")], kinds, Clock::system()).await;
    let (first, second) = (begin(&server).await, begin(&server).await);
    server.until(&second, "COMPLETED").await;
    let shown = server.ask(&format!("{{ task(id: \"{first}\") {{ state }} }}")).await;
    assert_eq!(shown["data"]["task"]["state"], "RUNNING", "its publication waits");
    odd.publish.add_permits(1);
    server.until(&first, "COMPLETED").await;
    assert!(server.end().await);
}

#[tokio::test]
async fn a_deletion_is_answered_before_what_the_task_left_is_removed() {
    let kind = OddKind::new(Behaviour::PurgesLate);
    let server = Embedded::start(&[], vec![Arc::clone(&kind) as Arc<dyn Kind>], Clock::system()).await;
    let id = begin(&server).await;
    server.until(&id, "COMPLETED").await;
    let delete = format!("mutation {{ deleteTask(id: \"{id}\") }}");
    let deleted = tokio::time::timeout(PATIENCE, server.ask(&delete)).await.expect("the deletion waits for the purge");
    assert_eq!(deleted["data"]["deleteTask"], *id);
    let found = server.ask(&format!("{{ task(id: \"{id}\") {{ id }} }}")).await;
    assert_eq!(found["errors"][0]["extensions"]["code"], "NOT_FOUND");
    kind.purge.add_permits(1);
    assert!(server.end().await);
}
