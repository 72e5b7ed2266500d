//! Time until another node sees a pause and progress: with Redis, while it is killed, and while it answers nothing.

use std::time::Duration;

use pausa::clock::Clock;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::chaos::two_nodes::{TwoNodes, roles};
use crate::harness::csv;
use crate::harness::redis::Redis;
use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::metrics::until;
use crate::store::test_store::TestStore;

/// Number of pauses while Redis works, and while it does not.
const PAUSES: usize = 20;
const OUTAGES: usize = 5;

/// Maximum time of the middle one of the pauses while Redis is killed or frozen.
const WITHOUT_REDIS: Duration = Duration::from_secs(2);

/// Number of imports of some five seconds whose progress is watched, and the maximum time of the middle one of its events.
const IMPORTS: usize = 4;
const LATE: Duration = Duration::from_millis(60);

/// An import at one of two nodes, and a watcher at the other one.
struct Watched {
    two: TwoNodes,
    redis: Redis,
    id: String,
}

impl Watched {
    async fn start() -> Watched {
        let redis = Redis::start().await;
        let settings = [("PAUSA_REDIS_URL", &*redis.url()), ("PAUSA_LEASE_SECONDS", "60")];
        let two = TwoNodes::start(&settings).await;
        let upload = two.a.upload(csv::people(300_000)).await;
        let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 1_000 })).await;
        two.b.until_done(&id, 1).await;
        Watched { two, redis, id }
    }

    /// Waits until both nodes hear each other.
    async fn until_heard(&self) {
        for node in [&self.two.a, &self.two.b] {
            until(node, "pausa_events_up", |up| up == 1.0).await;
        }
    }

    /// Pauses the import at the node that runs it, after `before`. Returns when a watcher at the other node saw it PAUSED. Resumes it.
    async fn pause(&mut self, before: impl FnOnce(&mut Redis)) -> Duration {
        let (here, there) = roles(&mut self.two.a, &mut self.two.b, &self.id).await;
        let mut watch = Watch::progress(&there.url, &self.id).await;
        watch.until(|task| task["state"] == "RUNNING").await;
        before(&mut self.redis);
        let begin = Clock::monotonic();
        let (_, paused) = tokio::join!(here.verb("pause", &self.id), watch.until(|task| task["state"] == "PAUSED"));
        let took = begin.elapsed();
        let done = paused["progress"]["done"].as_u64().unwrap();
        there.control("resume", &self.id).await;
        there.until_done(&self.id, done + 1).await;
        took
    }
}

/// Prints the times, and returns the middle one.
fn summary(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let middle = times[times.len() / 2];
    println!("{what}: middle {middle:?}, longest {:?} of {}", times.last().unwrap(), times.len());
    middle
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_is_seen_at_another_node_within_two_seconds_whatever_redis_does() {
    let mut watched = Watched::start().await;
    let mut times = Vec::new();
    for _ in 0..PAUSES {
        watched.until_heard().await;
        times.push(watched.pause(|_| {}).await);
    }
    summary("pause with Redis", times);
    let (mut killed, mut frozen) = (Vec::new(), Vec::new());
    for _ in 0..OUTAGES {
        watched.until_heard().await;
        killed.push(watched.pause(Redis::kill).await);
        watched.redis.restart().await;
        watched.until_heard().await;
        frozen.push(watched.pause(|redis| redis.freeze()).await);
        watched.redis.thaw();
    }
    for (what, times) in [("pause as Redis is killed", killed), ("pause as Redis is frozen", frozen)] {
        let middle = summary(what, times);
        assert!(middle < WITHOUT_REDIS, "{what}: {middle:?}");
    }
}

/// Records when each version of a task is written. Its commit follows within moments.
const RECORD: &str = "CREATE TABLE pausa.written (version bigint, at timestamptz);
    CREATE FUNCTION pausa.record() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO pausa.written VALUES (NEW.version, clock_timestamp()); RETURN NULL; END $$;
    CREATE TRIGGER record AFTER UPDATE ON pausa.tasks FOR EACH ROW EXECUTE FUNCTION pausa.record()";

const PROGRESS: &str = "subscription($id: ID!) { taskProgress(id: $id) { state version } }";

/// Watches a task to its end. Returns its versions, each with the time at which it was seen, in microseconds.
async fn seen(server: &Server, id: &str) -> Vec<(i64, i64)> {
    let mut watch = Watch::open(&server.url, "taskProgress", PROGRESS, json!({ "id": id })).await;
    let mut seen = Vec::new();
    while let Some(task) = watch.next().await {
        seen.push((task["version"].as_i64().unwrap(), crate::harness::now().as_microsecond()));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_seen_at_another_node_soon_after_it_is_written() {
    let (test_store, redis) = (TestStore::postgres().await, Redis::start().await);
    let mut database = PgConnection::connect(&test_store.url).await.unwrap();
    let two = TwoNodes::differing(
        test_store,
        &[("PAUSA_REDIS_URL", &*redis.url())],
        &[("PAUSA_REDIS_URL", &*redis.url()), ("PAUSA_ROLE", "api")],
    )
    .await;
    sqlx::raw_sql(RECORD).execute(&mut database).await.unwrap();
    let upload = two.a.upload(csv::people(50_000)).await;
    let mut times = Vec::new();
    for n in 0..IMPORTS {
        let input: Value = json!({ "dataset": format!("set_{n}"), "maxRowsPerSecond": 10_000 });
        let id = two.a.import(&upload, input).await;
        let seen = seen(&two.b, &id).await;
        let sql = "SELECT version, (extract(epoch FROM at) * 1000000)::bigint FROM pausa.written";
        let written: Vec<(i64, i64)> = sqlx::query_as(sql).fetch_all(&mut database).await.unwrap();
        sqlx::raw_sql("TRUNCATE pausa.written").execute(&mut database).await.unwrap();
        let written: std::collections::HashMap<_, _> = written.into_iter().collect();
        let known = seen.iter().filter_map(|(version, at)| Some(at - written.get(version)?));
        // The first event is the task as it was when the subscription began.
        times.extend(known.skip(1).map(|micros| Duration::from_micros(micros.try_into().unwrap_or(0))));
    }
    times.sort();
    let (middle, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "progress at another node: p50 {middle:?}, p99 {late:?}, longest {:?} of {}",
        times.last().unwrap(),
        times.len()
    );
    assert!(times.len() > 30 * IMPORTS, "{}", times.len());
    assert!(middle < LATE, "{middle:?}");
}
