//! Lists, counts, claims and heartbeats beside many finished tasks.

use std::sync::Arc;
use std::time::Duration;

use pausa::clock::Clock;
use pausa::store::{Claimant, NodeProfile, NodeStatus, Store};
use pausa::task::change::End;
use pausa::task::{NewTask, NodeIdentity, Task, Unit};
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use crate::figures::{spread, timed};
use crate::harness::postgres::Postgres;
use crate::harness::server::Server;
use crate::harness::{caller, now, task_id};

/// Numbers of finished tasks, in turn in one store.
const SIZES: [usize; 2] = [1000, 1_000_000];

/// Number of calls of each kind.
const CALLS: usize = 100;

const LEASE: Duration = Duration::from_secs(60);

/// Query of the list of tasks: a name and the arguments.
const LISTS: [(&str, &str); 30] = [
    ("the newest", "first: 50"),
    ("completed", "first: 50, filter: { states: [COMPLETED] }"),
    ("running: none", "first: 50, filter: { states: [RUNNING] }"),
    ("of a kind that no task has", "first: 50, filter: { kinds: [TIMER] }"),
    ("of that kind, completed", "first: 50, filter: { kinds: [TIMER], states: [COMPLETED] }"),
    ("of a kind that failed", "first: 50, filter: { states: [FAILED], kinds: [PI] }"),
    ("with a label that a thousandth has", r#"first: 50, filter: { label: "label 7" }"#),
    ("with a label that no task has", r#"first: 50, filter: { label: "none" }"#),
    ("with that label, failed", r#"first: 50, filter: { label: "none", states: [FAILED] }"#),
    ("oldest first", "first: 50, orderBy: CREATED_ASC"),
    ("by end", "first: 50, orderBy: FINISHED_DESC"),
    ("by update", "first: 50, orderBy: UPDATED_DESC"),
    ("by priority", "first: 50, orderBy: PRIORITY_DESC"),
    ("failed, by end", "first: 50, orderBy: FINISHED_DESC, filter: { states: [FAILED] }"),
    ("with a label, by end", r#"first: 50, orderBy: FINISHED_DESC, filter: { label: "label 7" }"#),
    ("of a kind, by update", "first: 50, orderBy: UPDATED_DESC, filter: { kinds: [PI] }"),
    (
        "failed of a kind that no task has, by end",
        "first: 50, orderBy: FINISHED_DESC, filter: { kinds: [TIMER], states: [FAILED] }",
    ),
    ("of a dataset", r#"first: 50, filter: { datasets: ["dataset 7"] }"#),
    ("with an error code", "first: 50, filter: { errorCodes: [\"INTERNAL\"] }"),
    ("with an error code, by update", "first: 50, orderBy: UPDATED_DESC, filter: { errorCodes: [\"INTERNAL\"] }"),
    ("with a tag of a hundredth", r#"first: 50, filter: { tags: ["tag 7"] }"#),
    ("with a tag of a hundredth, by update", r#"first: 50, orderBy: UPDATED_DESC, filter: { tags: ["tag 7"] }"#),
    ("of a caller of all", r#"first: 50, filter: { createdBy: "anonymous" }"#),
    ("of a caller of none", r#"first: 50, filter: { createdBy: "nobody" }"#),
    ("search: all", r#"first: 50, filter: { search: "LABEL" }"#),
    ("search: a thousandth", r#"first: 50, filter: { search: "label 777" }"#),
    ("search: a thousandth, by update", r#"first: 50, orderBy: UPDATED_DESC, filter: { search: "label 777" }"#),
    ("search: a ten thousandth", r#"first: 50, filter: { search: "file 7777." }"#),
    ("search: nothing", r#"first: 50, filter: { search: "no such text" }"#),
    ("search: the beginning of an ID", r#"first: 50, filter: { search: "01900007-a1" }"#),
];

/// Unit of the counts.
const COUNTS: [(&str, &str); 5] = [
    ("all", "first: 0"),
    ("completed", "first: 0, filter: { states: [COMPLETED] }"),
    ("of a kind", "first: 0, filter: { kinds: [PI] }"),
    ("with a label that a thousandth has", r#"first: 0, filter: { label: "label 7" }"#),
    ("with a label that no task has", r#"first: 0, filter: { label: "none" }"#),
];

/// Filters of the counts by kind and state.
const TALLIES: [(&str, &str); 3] = [
    ("all", ""),
    ("failed", "(filter: { states: [FAILED] })"),
    ("with a label that a thousandth has", r#"(filter: { label: "label 7" })"#),
];

pub async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    each_size(&format!("sqlite:{}/pausa.db", folder.path().display())).await;
    let postgres = Postgres::start();
    each_size(&postgres.url()).await;
}

async fn each_size(url: &str) {
    let is_postgres = url.starts_with("postgres");
    let (files, mut before) = (tempfile::tempdir().unwrap(), 0);
    let folder = format!("file://{}", files.path().display());
    let settings = [("PAUSA_DATABASE_URL", url), ("PAUSA_FILES_URL", &folder), ("PAUSA_ROLE", "api")];
    for size in SIZES {
        let mut server = Server::with(&settings).await;
        // SQLite allows only one process.
        server.terminate().await;
        fill(url, is_postgres, before, size).await;
        before = size;
        println!("{size} finished tasks in {}:", if is_postgres { "PostgreSQL" } else { "SQLite" });
        server.restart().await;
        for (name, arguments) in LISTS {
            let query = format!("{{ tasks({arguments}) {{ edges {{ node {{ id kind state label }} }} }} }}");
            ask(&server, &format!("  list: {name}"), &query).await;
        }
        for (name, filter) in TALLIES {
            ask(
                &server,
                &format!("  taskCounts: {name}"),
                &format!("{{ taskCounts{filter} {{ kind state count exact }} }}"),
            )
            .await;
        }
        for (name, arguments) in COUNTS {
            ask(&server, &format!("  count: {name}"), &format!("{{ tasks({arguments}) {{ totalCount }} }}")).await;
        }
        server.terminate().await;
        node_verbs(url).await;
    }
}

async fn ask(server: &Server, what: &str, query: &str) {
    let mut times = Vec::new();
    for _ in 0..CALLS {
        times.push(timed(server.data(query, json!({}))).await);
    }
    spread(what, times);
}

/// Measures heartbeats and claims, by calls of the store.
async fn node_verbs(url: &str) {
    let store = Store::connect(url, Arc::new(|_| {})).await.unwrap();
    let node = NodeIdentity { id: task_id().to_string(), name: "measured".to_owned() };
    let (role, version) = ("worker".to_owned(), "measured".to_owned());
    let profile = NodeProfile { node: node.clone(), role, version, started_at: now(), max_running: 4 };
    store.join(&profile, now(), LEASE).await.unwrap();
    let claimant = Claimant::new(node.clone(), ["pi"]);
    let (mut beats, mut claims, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..CALLS {
        beats.push(timed(store.heartbeat(&node.id, NodeStatus::default(), now(), LEASE)).await);
        nothing.push(timed(store.claim(&claimant, now(), 1)).await);
        let task = Task::new(task_id(), NewTask::new("pi", r#"{"digits":10}"#, Unit::Digits), now());
        store.create(caller(), task, u64::MAX).await.unwrap();
        let begin = Clock::monotonic();
        let claimed = store.claim(&claimant, now(), 1).await.unwrap();
        claims.push(begin.elapsed());
        assert_eq!(claimed.len(), 1);
        store.end(&claimed[0], None, End::Done, caller().request(now())).await.unwrap();
    }
    store.leave(&node.id).await.unwrap();
    store.close().await;
    spread("  heartbeat", beats);
    spread("  claim while nothing waits", nothing);
    spread("  claim of a task", claims);
}

/// Adds finished tasks, numbered from `from` to `to`, with one entry of history each.
async fn fill(url: &str, is_postgres: bool, from: usize, to: usize) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.unwrap();
    let (numbers, hex) = if is_postgres {
        sqlx::query("SET search_path = pausa").execute(&mut connection).await.unwrap();
        (format!("SELECT n FROM generate_series({from}, {to} - 1) AS n"), "lpad(to_hex(n), 8, '0')")
    } else {
        let more = format!("SELECT n + 1 FROM numbers WHERE n < {to} - 1");
        let all = format!("WITH RECURSIVE numbers (n) AS (SELECT {from} UNION ALL {more}) SELECT n FROM numbers");
        (all, "printf('%08x', n)")
    };
    let id = format!("'0190' || substr({hex}, 1, 4) || '-' || substr({hex}, 5, 4) || '-7000-8000-000000000000'");
    let line = if is_postgres { "chr(10)" } else { "char(10)" };
    let state = "CASE n % 20 WHEN 0 THEN 'FAILED' WHEN 1 THEN 'TERMINATED' ELSE 'COMPLETED' END";
    let tasks = format!(
        "INSERT INTO tasks (id, kind, state, epoch, version, label, dataset, file_name, search_text, tags, spec, phase, unit, done, total, active, progress_at,
         attempt, crashes, failures, error_code, error_message, created_at, started_at, finished_at)
         SELECT {id}, CASE n % 3 WHEN 0 THEN 'pi' WHEN 1 THEN 'import' ELSE 'export' END, {state}, 1, 4,
         'label ' || (n % 1000), 'dataset ' || (n % 500), 'file ' || (n % 10000) || '.csv',
         'label ' || (n % 1000) || {line} || 'dataset ' || (n % 500) || {line} || 'file ' || (n % 10000) || '.csv' || {line} || 'tag ' || (n % 100),
         '[\"tag ' || (n % 100) || '\"]', '{{\"digits\":10}}', 'writing', 'ROWS', 10, 10, 1000, n, 0, 0, 0,
         CASE n % 20 WHEN 0 THEN 'INTERNAL' END, CASE n % 20 WHEN 0 THEN 'It failed.' END, n, n, n
         FROM ({numbers}) AS numbered"
    );
    let changes = format!(
        "INSERT INTO task_changes (task_id, version, to_state, at, by_whom)
         SELECT {id}, 4, {state}, n, 'node measured' FROM ({numbers}) AS numbered"
    );
    let mut statements = vec![tasks, changes];
    if is_postgres {
        // As autovacuum does after a while.
        statements.extend([
            "VACUUM ANALYZE tasks".to_owned(),
            "VACUUM ANALYZE task_changes".to_owned(),
            "VACUUM ANALYZE task_texts".to_owned(),
            "VACUUM ANALYZE task_tags".to_owned(),
        ]);
    }
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}
