//! A separate store for each story, and helpers to use it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pausa::access::Caller;
use pausa::store::{ClaimDecision, Claimant, DueWindow, Durability, Error, FenceToken, NodeProfile, Store};
use pausa::task::change::End;
use pausa::task::{
    ControlRequest, NewTask, NodeIdentity, Progress, Refusal, RetryPolicy, Task, TaskChange, Unit, Verb,
};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::harness::caller;
use crate::harness::postgres::Postgres;

/// Makes the names of databases unique.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// The lease duration of every node in these stories.
pub const LEASE: Duration = Duration::from_secs(10);

/// The number of consecutive deaths that a task survives in these stories.
pub const DEATHS: u32 = 2;

/// The retry policy in these stories.
pub const POLICY: RetryPolicy = RetryPolicy { backoff: Duration::from_secs(1), limit: 5 };

/// A limit that no story reaches.
pub const MANY: u64 = 1_000_000;

/// The changes that a store delivered: the task at that time, and whether its state changed.
pub type ChangeLog = Arc<Mutex<Vec<(Arc<Task>, bool)>>>;

/// A database, empty at first.
pub struct TestStore {
    pub url: String,
    _folder: Option<TempDir>,
    _server: Option<Arc<Postgres>>,
}

impl TestStore {
    /// The database of a server.
    pub fn of(url: String) -> TestStore {
        TestStore { url, _folder: None, _server: None }
    }

    pub fn sqlite() -> TestStore {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/pausa.db", folder.path().display());
        TestStore { url, _folder: Some(folder), _server: None }
    }

    pub async fn postgres() -> TestStore {
        let server = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
        let name = format!("store_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&server.url()).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
        TestStore { url: server.url_of(&name), _folder: None, _server: Some(server) }
    }

    /// Opens the store as one process does.
    pub async fn open(&self) -> Store {
        Store::connect(&self.url, Arc::new(|_| {})).await.unwrap()
    }

    /// Opens the store with the nodes `a` and `b`, both alive.
    pub async fn with_nodes(&self) -> Store {
        let store = self.open().await;
        for node in ["a", "b"] {
            store.join(&profile(node), at(0), LEASE).await.unwrap();
        }
        store
    }

    /// Opens the store and records the changes that it delivers.
    pub async fn changes(&self) -> (Store, ChangeLog) {
        let changes = ChangeLog::default();
        let log = Arc::clone(&changes);
        let record = move |change: &TaskChange| {
            log.lock().unwrap().push((Arc::clone(&change.task), change.transition.is_some()));
        };
        (Store::connect(&self.url, Arc::new(record)).await.unwrap(), changes)
    }

    /// Runs a statement directly on the database.
    pub async fn execute(&self, sql: &str) -> sqlx::Result<u64> {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&self.url).await.unwrap();
        if self.url.starts_with("postgres") {
            sqlx::query("SET search_path = pausa").execute(&mut connection).await.unwrap();
        }
        Ok(sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?.rows_affected())
    }
}

/// Returns the time this many seconds after the start of the story.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_secs(seconds)
}

/// Returns a node that can run the kind of the tasks in these stories. Its ID is its name.
pub fn node(name: &str) -> Claimant {
    Claimant::new(NodeIdentity { id: name.to_owned(), name: name.to_owned() }, ["import"])
}

/// Returns what that node tells about itself.
pub fn profile(name: &str) -> NodeProfile {
    let (role, version) = ("all".to_owned(), "0.1.0".to_owned());
    NodeProfile { node: node(name).node, role, version, started_at: at(0), max_running: 4 }
}

/// Ends the leases of all nodes, and releases their tasks at that second. Returns these.
pub async fn rescue(test_store: &TestStore, store: &Store, second: i64) -> Vec<Arc<Task>> {
    test_store.execute("UPDATE nodes SET lease_until = 0").await.unwrap();
    store.rescue(at(second), DEATHS).await.unwrap()
}

/// Returns a request of a client, a node or the system at the start of the story.
pub fn request() -> ControlRequest {
    Caller::anonymous().request(at(1))
}

/// Returns a plain new task, modified by `change`.
pub fn task_with(change: impl FnOnce(&mut NewTask)) -> Task {
    let mut new = NewTask::new("import", "{\"a\": \"Zürich \u{1f600}\"}", Unit::Rows);
    new.total = Some(100);
    change(&mut new);
    Task::new(crate::harness::task_id(), new, at(0))
}

/// Returns a plain new task.
pub fn plain() -> Task {
    task_with(|_| {})
}

/// Returns a short task that is due at this second.
pub fn short(due: i64) -> Task {
    task_with(|new| {
        new.concurrency_key = Some("host".into());
        new.start_at = Some(at(due));
    })
}

/// Claims short tasks for a node at second `now`: those that are due by second `until`.
pub async fn take_short(store: &Store, name: &str, now: i64, until: i64) -> Vec<Arc<Task>> {
    let window = DueWindow { after: Timestamp::MIN, until: at(until) };
    store.claim_short(&node(name), at(now), window, 100, |_| ClaimDecision::Take).await.unwrap()
}

/// Returns a progress of this many rows.
pub fn rows(done: u64) -> Progress {
    let active = Duration::from_secs(done);
    Progress { phase: "importing".to_owned(), unit: Unit::Rows, done, total: Some(100), active, updated_at: at(2) }
}

pub fn is_lease_lost<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Refused(Refusal::LeaseLost)))
}

/// Writes a task and returns it.
pub async fn create(store: &Store, task: Task) -> Arc<Task> {
    store.create(caller(), task, MANY).await.unwrap().into_task()
}

/// Returns a new task that node `a` runs.
pub async fn running(store: &Store) -> Arc<Task> {
    let task = create(store, plain()).await;
    let claimed = store.claim(&node("a"), at(1), 100).await.unwrap();
    claimed.into_iter().find(|claimed| claimed.id == task.id).unwrap()
}

/// Reports progress of a task's run.
pub async fn report(
    store: &Store,
    task: &Task,
    cursor: Option<String>,
    progress: Progress,
) -> Result<Arc<Task>, Error> {
    store.report(FenceToken::of(task), cursor, progress, Durability::Deferred).await
}

/// Ends the run of a task with `end`.
pub async fn end(store: &Store, task: &Task, end: End) -> Arc<Task> {
    store.end(&Arc::new(task.clone()), None, end, request()).await.unwrap()
}

/// Sends `verb` to a task.
pub async fn control(store: &Store, task: &Task, verb: Verb) -> Arc<Task> {
    store.control(caller(), task.id, verb, request()).await.unwrap()
}
