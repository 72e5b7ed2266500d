//! Deletion of finished tasks while other requests act on them, and when their data cannot be removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use pausa::clock::Clock;
use pausa::runner::{BadInput, Context, Failure, Kind, StopReason, TaskPlan};
use pausa::task::{ResultFile, Unit};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::datasets::database::{database, execute};
use crate::harness::embedded::Embedded;
use crate::harness::server::PATIENCE;

/// A kind whose tasks fail or complete as their specs say, and whose steps wait for the story.
#[derive(Default)]
struct Staged {
    /// Number of runs and rollbacks that have begun.
    begun: AtomicU32,
    rolled_back: AtomicU32,
    gate: Gate,
}

struct Gate {
    reached: Semaphore,
    open: Semaphore,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { reached: Semaphore::new(0), open: Semaphore::new(0) }
    }
}

impl Gate {
    /// Waits until the story releases one step.
    async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// Waits until a step has reached the gate.
    async fn reached(&self) {
        tokio::time::timeout(PATIENCE, self.reached.acquire())
            .await
            .expect("no step reached the gate in time")
            .unwrap()
            .forget();
    }
}

#[async_trait]
impl Kind for Staged {
    fn name(&self) -> &'static str {
        "staged"
    }

    fn plan(&self, _spec: &Value) -> Result<TaskPlan, BadInput> {
        Ok(TaskPlan { unit: Unit::Terms, total: None, unique_key: None, upload: None, concurrency_key: None })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        let spec: Value = context.spec()?;
        self.begun.fetch_add(1, Ordering::SeqCst);
        if spec["runWaits"] == true {
            self.gate.pass().await;
        }
        if spec["fails"] == true { Err(Failure::input("it is wrong").into()) } else { Ok(None) }
    }

    async fn rollback(&self, context: &Context) -> Result<(), Failure> {
        let spec: Value = context.spec()?;
        let before = self.rolled_back.fetch_add(1, Ordering::SeqCst);
        if spec["secondRollbackWaits"] == true && before == 1 {
            self.gate.pass().await;
        }
        Ok(())
    }

    async fn purge(&self, context: &Context) -> Result<(), Failure> {
        let spec: Value = context.spec()?;
        if spec["hangs"] == true {
            std::future::pending::<()>().await;
        }
        assert!(spec["panics"] != true, "as the story requires");
        if spec["stays"] == true { Err(Failure::internal("it cannot be removed")) } else { Ok(()) }
    }
}

async fn start(server: &Embedded, spec: &str) -> String {
    let query = format!("mutation {{ startCustom(input: {{ name: \"staged\", spec: {spec} }}) {{ id }} }}");
    server.ask(&query).await["data"]["startCustom"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_being_deleted_is_not_resumed() {
    let kind = Arc::new(Staged::default());
    let server = Embedded::start(&[], vec![Arc::clone(&kind) as Arc<dyn Kind>], Clock::system()).await;
    let id = start(&server, "{ fails: true, secondRollbackWaits: true }").await;
    server.until(&id, "FAILED").await;
    let (delete, resume) = (
        format!("mutation {{ deleteTask(id: \"{id}\") }}"),
        format!("mutation {{ resume(id: \"{id}\") {{ state }} }}"),
    );
    let (deleted, resumed) = tokio::join!(server.ask(&delete), async {
        // The task's data is being removed at this moment.
        kind.gate.reached().await;
        let resumed = server.ask(&resume).await;
        kind.gate.open.add_permits(1);
        resumed
    });
    assert_eq!(deleted["data"]["deleteTask"], id, "{deleted}");
    assert_eq!(resumed["errors"][0]["extensions"]["code"], "NOT_FOUND", "{resumed}");
    assert_eq!(kind.begun.load(Ordering::SeqCst), 1, "no run may continue without its files");
    assert!(server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_cannot_be_purged_does_not_block_others() {
    let kind = Arc::new(Staged::default());
    let settings = [("PAUSA_RETENTION_SECONDS", "1")];
    let server = Embedded::start(&settings, vec![kind], Clock::system()).await;
    for spec in ["{ stays: true }", "{ hangs: true }", "{ panics: true }", "{}", "{ fails: true }"] {
        start(&server, spec).await;
    }
    let gone = async {
        while server.ask("{ tasks { totalCount } }").await["data"]["tasks"]["totalCount"] != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("not all tasks were deleted in time");
    assert!(server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_a_newer_run_replaced_rolls_nothing_back() {
    let (_postgres, url) = database("newer_run").await;
    let kind = Arc::new(Staged::default());
    let settings = [("PAUSA_DATABASE_URL", &*url)];
    let server = Embedded::start(&settings, vec![Arc::clone(&kind) as Arc<dyn Kind>], Clock::system()).await;
    start(&server, "{ fails: true, runWaits: true }").await;
    kind.gate.reached().await;
    // Simulates another node that considers this node dead.
    execute(&url, "UPDATE pausa.tasks SET epoch = epoch + 1, version = version + 1").await;
    kind.gate.open.add_permits(1);
    assert!(server.end().await, "the run ends");
    assert_eq!(kind.rolled_back.load(Ordering::SeqCst), 0);
}
