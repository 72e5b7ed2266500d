//! Tasks of a kind that a node lacks, and runs that hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use pausa::clock::Clock;
use pausa::runner::{BadInput, Context, Failure, Kind, Report, StopReason, TaskPlan};
use pausa::task::{ResultFile, Unit};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::datasets::database::{database, execute};
use crate::harness::embedded::Embedded;
use crate::harness::server::PATIENCE;

/// A kind whose first run hangs in a thread, and whose second one works on until the story lets it end.
struct Hanging {
    runs: AtomicU32,
    hangs: AtomicBool,
    /// Checkpoints of the second run.
    steps: Semaphore,
    may_end: AtomicBool,
}

#[async_trait]
impl Kind for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }

    fn plan(&self, _spec: &Value) -> Result<TaskPlan, BadInput> {
        Ok(TaskPlan { unit: Unit::Terms, total: None, unique_key: None, upload: None, concurrency_key: None })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        if self.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            self.hangs.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        let mut done = 0;
        while !self.may_end.load(Ordering::SeqCst) {
            done += 1;
            context.checkpoint(&done, Report { phase: "working", done, total: None }).await?;
            self.steps.add_permits(1);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Ok(None)
    }

    async fn rollback(&self, _context: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

async fn start(server: &Embedded) -> String {
    let query = "mutation { startCustom(input: { name: \"hanging\", spec: {} }) { id } }";
    server.ask(query).await["data"]["startCustom"]["id"].as_str().unwrap().to_owned()
}

fn hanging() -> Arc<Hanging> {
    let (runs, steps) = (AtomicU32::new(0), Semaphore::new(0));
    Arc::new(Hanging { runs, steps, hangs: AtomicBool::new(false), may_end: AtomicBool::new(false) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_run_does_not_abort_the_next_run_of_its_task() {
    let (_postgres, url) = database("hung_run").await;
    let kind = hanging();
    let server =
        Embedded::start(&[("PAUSA_DATABASE_URL", &*url)], vec![Arc::clone(&kind) as Arc<dyn Kind>], Clock::system())
            .await;
    let id = start(&server).await;
    while !kind.hangs.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    // As another node does that takes this one for dead.
    execute(&url, "UPDATE pausa.tasks SET state = 'QUEUED', owner = NULL, version = version + 1").await;
    // The hung run is aborted two seconds after it was told. The new run works for longer.
    let steps = tokio::time::timeout(PATIENCE, kind.steps.acquire_many(500)).await;
    steps.expect("the new run did not go on").unwrap().forget();
    kind.may_end.store(true, Ordering::SeqCst);
    server.until(&id, "COMPLETED").await;
    assert_eq!(kind.runs.load(Ordering::SeqCst), 2, "nothing aborted the new run");
    assert!(server.end().await);
}

/// A rolling update: the old version of the program runs beside the new one, which has one kind more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_an_unknown_kind_waits_for_a_node_that_knows_it() {
    let ((_postgres, url), files) = (database("unknown_kind").await, tempfile::tempdir().unwrap());
    let shared = format!("file://{}", files.path().display());
    let settings = [("PAUSA_DATABASE_URL", &*url), ("PAUSA_FILES_URL", &*shared)];
    let kind = hanging();
    kind.may_end.store(true, Ordering::SeqCst);
    kind.runs.store(1, Ordering::SeqCst);
    let api = [settings[0], settings[1], ("PAUSA_ROLE", "api")];
    let new = Embedded::start(&api, vec![Arc::clone(&kind) as Arc<dyn Kind>], Clock::system()).await;
    let old = Embedded::start(&settings, Vec::new(), Clock::system()).await;
    let id = start(&new).await;
    // The old node works: it runs a task that was started later.
    let pi = old.ask("mutation { startPiJob(input: { digits: 10 }) { id } }").await;
    old.until(pi["data"]["startPiJob"]["id"].as_str().unwrap(), "COMPLETED").await;
    let task = new.ask(&format!("{{ task(id: \"{id}\") {{ state attempt }} }}")).await;
    assert_eq!(task["data"]["task"], serde_json::json!({ "state": "QUEUED", "attempt": 0 }));
    let worker = Embedded::start(&settings, vec![Arc::clone(&kind) as Arc<dyn Kind>], Clock::system()).await;
    new.until(&id, "COMPLETED").await;
    // Its files are removed by a node that knows its kind as well.
    let deleted = old.ask(&format!("mutation {{ deleteTask(id: \"{id}\") }}")).await;
    assert_eq!(deleted["data"]["deleteTask"], serde_json::json!(id));
    for server in [old, new, worker] {
        assert!(server.end().await);
    }
}
