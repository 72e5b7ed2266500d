//! Many watchers at a node that does not run the task: the database's own statistics say what they cost.

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::two_nodes::{TwoNodes, roles};
use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::harness::watch::Watch;
use crate::store::test_store::TestStore;

/// Rows of the import, and rows a second: it runs for longer than the story.
const ROWS: usize = 300_000;
const RATE: u64 = 1500;

/// Rows that are imported while nobody reads the task.
const WATCHED: u64 = 4500;

/// Watchers that begin at once.
const AT_ONCE: usize = 20;

/// A watcher answers no ping until all have begun, which takes long on a busy machine.
const NO_PINGS: (&str, &str) = ("PAUSA_WEBSOCKET_PING_SECONDS", "3600");

/// Two nodes on a database that counts its statements.
struct Counted {
    two: TwoNodes,
    postgres: Arc<Postgres>,
}

impl Counted {
    async fn start(settings: &[(&str, &str)]) -> Counted {
        let server = || Postgres::with(&["shared_preload_libraries=pg_stat_statements"], |_| {});
        let postgres = Arc::new(tokio::task::spawn_blocking(server).await.unwrap());
        let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
        sqlx::raw_sql("CREATE EXTENSION pg_stat_statements").execute(&mut connection).await.unwrap();
        let settings = [settings, &[NO_PINGS]].concat();
        let two = TwoNodes::on(TestStore::of(postgres.url()), &settings).await;
        Counted { two, postgres }
    }

    /// Returns how often any node has read a task, or the versions of tasks, without locking it.
    async fn reads(&self) -> i64 {
        let mut connection = PgConnection::connect(&self.postgres.url()).await.unwrap();
        let sql = r"SELECT COALESCE(SUM(calls), 0)::BIGINT FROM pg_stat_statements
            WHERE query ~ 'FROM tasks WHERE id = (\$1$|ANY)' AND query !~ 'UPDATE'";
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }
}

fn done(task: &Value) -> u64 {
    task["progress"]["done"].as_u64().unwrap_or_else(|| panic!("no progress: {task}"))
}

/// Begins to watch the task.
async fn watch(url: &str, id: &str) -> Watch {
    let mut watch = Watch::progress(url, id).await;
    watch.until(|task| done(task) > 0).await;
    watch
}

/// Watches the task until it is terminated. Returns the progress that the watcher saw.
async fn watch_to_the_end(mut watch: Watch) -> Vec<u64> {
    let mut seen = Vec::new();
    while let Some(task) = watch.next().await {
        seen.push(done(&task));
        if task["state"] == "TERMINATED" {
            return seen;
        }
    }
    panic!("the subscription ended after {seen:?}");
}

async fn watchers_cost_the_store_nothing(settings: &[(&str, &str)], watchers: usize) {
    let mut counted = Counted::start(settings).await;
    let upload = counted.two.a.upload(csv::people(ROWS)).await;
    let id = counted.two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": RATE })).await;
    counted.two.a.until_done(&id, 1).await;
    let url = roles(&mut counted.two.a, &mut counted.two.b, &id).await.1.url.clone();
    let mut watches: Vec<Watch> =
        stream::iter(0..watchers).map(|_| watch(&url, &id)).buffer_unordered(AT_ONCE).collect().await;
    let newest = join_all(watches.iter_mut().map(|watch| watch.until(|_| true))).await;
    let from = newest.iter().map(done).max().unwrap();
    let before = counted.reads().await;
    assert!(before >= 2 * i64::try_from(watchers).unwrap(), "each watcher reads the task as it begins: {before}");
    join_all(watches.iter_mut().map(|watch| watch.until(|task| done(task) >= from + WATCHED))).await;
    assert_eq!(counted.reads().await, before, "nobody read the task while it ran");

    let seen = watches.into_iter().map(|watch| tokio::spawn(watch_to_the_end(watch))).collect::<Vec<_>>();
    counted.two.a.control("terminate", &id).await;
    for seen in join_all(seen).await {
        assert!(seen.as_ref().unwrap().is_sorted(), "progress never goes back: {seen:?}");
    }
    // One for each new state and node, and what the verb and the rollback read.
    let last = counted.reads().await - before;
    assert!(last <= 10, "{watchers} watchers: {last} reads at the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_at_another_node_cost_the_store_nothing_over_redis() {
    let redis = Redis::start().await;
    watchers_cost_the_store_nothing(&[("PAUSA_REDIS_URL", &redis.url())], 1).await;
    watchers_cost_the_store_nothing(&[("PAUSA_REDIS_URL", &redis.url())], 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_at_another_node_cost_the_store_nothing_over_postgresql() {
    watchers_cost_the_store_nothing(&[], 1).await;
    watchers_cost_the_store_nothing(&[], 200).await;
}
