//! Subscribers at a node that loses the events of the other one, its store, or both: they are told what happened meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use pausa::clock::Clock;
use serde_json::{Value, json};

use super::two_nodes::TwoNodes;
use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::proxy::{Proxy, Traffic, Upstream};
use crate::harness::redis::Redis;
use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::store::test_store::TestStore;

/// Maximum time in which the subscribers of a node learn what happened after its connections were lost without a reset. It takes some
/// three seconds. A node that never notices the loss takes minutes, or forever.
const NOTICED: Duration = Duration::from_secs(10);

const CHANGES: &str = "subscription($progress: Boolean!) {
    taskChanges(initial: 10, progress: $progress) { id state progress { done } } }";

/// Node `a` runs the tasks. Node `b` answers requests, and reaches the store and Redis through proxies.
struct Cut {
    two: TwoNodes,
    store: Proxy,
    bus: Option<Proxy>,
    _redis: Option<Redis>,
}

impl Cut {
    async fn start(with_redis: bool) -> Cut {
        let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
        let test_store = TestStore::postgres().await;
        let database = test_store.url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
        let (store, url) = postgres.proxy(&database).await;
        let (mut a, mut b) = (vec![], vec![("PAUSA_DATABASE_URL", url.as_str()), ("PAUSA_ROLE", "api")]);
        let redis = if with_redis { Some(Redis::start().await) } else { None };
        let (mut bus, mut urls) = (None, None);
        if let Some(redis) = &redis {
            let proxy = Proxy::start(Upstream::Tcp(redis.address().parse().unwrap())).await;
            urls = Some((redis.url(), format!("redis://{}", proxy.address())));
            bus = Some(proxy);
        }
        if let Some((direct, through)) = &urls {
            a.push(("PAUSA_REDIS_URL", direct.as_str()));
            b.push(("PAUSA_REDIS_URL", through));
        }
        let two = TwoNodes::differing(test_store, &a, &b).await;
        Cut { two, store, bus, _redis: redis }
    }

    /// Starts three imports that run, and subscribes to each of them and to all at node `b`.
    async fn watched(&self) -> (Vec<String>, Vec<Watch>) {
        let (mut ids, mut watches) = (Vec::new(), Vec::new());
        for dataset in ["first", "second", "third"] {
            let upload = self.two.a.upload(csv::people(100_000)).await;
            let id = self.two.a.import(&upload, json!({ "dataset": dataset, "maxRowsPerSecond": 1000 })).await;
            self.two.a.until_done(&id, 1).await;
            watches.push(Watch::progress(&self.two.b.url, &id).await);
            ids.push(id);
        }
        for watch in &mut watches {
            watch.until(|task| task["state"] == "RUNNING").await;
        }
        for progress in [false, true] {
            watches.push(changes(&self.two.b, &ids, progress).await);
        }
        (ids, watches)
    }

    /// Returns the proxy through which node `b` hears events.
    fn carrier(&mut self) -> &mut Proxy {
        self.bus.as_mut().unwrap_or(&mut self.store)
    }

    /// Ends the tasks by node `a`.
    async fn end(&self, ids: &[String]) {
        for id in ids {
            self.two.a.control("terminate", id).await;
            self.two.a.until(id, "TERMINATED").await;
        }
    }
}

/// Subscribes to all tasks. Returns once it has delivered these, which are all.
async fn changes(server: &Server, ids: &[String], progress: bool) -> Watch {
    let mut watch = Watch::open(&server.url, "taskChanges", CHANGES, json!({ "progress": progress })).await;
    for id in ids {
        assert_eq!(watch.next().await.unwrap()["id"], **id, "the oldest comes first");
    }
    watch
}

/// Waits until each subscriber knows the end of each task that it watches.
async fn all_are_told(ids: &[String], watches: Vec<Watch>) {
    for mut watch in watches {
        let mut ended = BTreeSet::new();
        // A subscription of one task ends with it.
        while let Some(task) = watch.next().await {
            let id = task["id"].as_str().unwrap().to_owned();
            assert!(!ended.contains(&id) || task["state"] == "TERMINATED", "an older state after the last: {task}");
            if task["state"] == "TERMINATED" {
                ended.insert(id);
            }
            if ended.len() == ids.len() {
                break;
            }
        }
        assert!(!ended.is_empty());
    }
}

/// Three tasks end while node `b` hears nothing.
async fn the_bus_is_cut_while_three_tasks_end(mut cut: Cut) {
    let (ids, watches) = cut.watched().await;
    cut.carrier().cut();
    cut.end(&ids).await;
    cut.carrier().listen().await;
    all_are_told(&ids, watches).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_told_what_ended_while_listen_and_the_store_were_cut() {
    the_bus_is_cut_while_three_tasks_end(Cut::start(false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_told_what_ended_while_redis_was_cut() {
    the_bus_is_cut_while_three_tasks_end(Cut::start(true).await).await;
}

/// Packets of the connections of node `b` are dropped, and no side is told. New connections work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_at_a_node_that_is_deaf_on_half_open_connections_see_a_pause_in_time() {
    let cut = Cut::start(false).await;
    let (ids, mut watches) = cut.watched().await;
    cut.store.set(Traffic::Drop);
    cut.store.set(Traffic::Pass);
    let begin = Clock::monotonic();
    assert_eq!(cut.two.a.control("pause", &ids[0]).await, "PAUSED");
    watches[0].until(|task| task["state"] == "PAUSED").await;
    let watched = begin.elapsed();
    for all in &mut watches[3..] {
        all.until(|task| task["id"] == *ids[0] && task["state"] == "PAUSED").await;
    }
    println!(
        "half-open: PAUSED is seen after {watched:?}, by the subscribers of all tasks after {:?}",
        begin.elapsed()
    );
    assert!(begin.elapsed() < NOTICED, "{:?}", begin.elapsed());
    cut.end(&ids).await;
    all_are_told(&ids, watches).await;
}

/// Redis says that the tasks ended, and node `b` cannot read them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_told_what_ended_while_only_the_store_was_away() {
    let mut cut = Cut::start(true).await;
    let (ids, watches) = cut.watched().await;
    cut.store.cut();
    cut.end(&ids).await;
    cut.store.listen().await;
    all_are_told(&ids, watches).await;
}

/// A client that reads nothing for a while falls behind, and is told of each task once it reads again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_fell_behind_is_told_of_each_task() {
    let server = Server::with(&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")]).await;
    let texts: String = (0..300).map(|n| format!("t{n}: label ")).collect();
    let query = format!("subscription {{ taskChanges(initial: 1) {{ id state {texts} }} }}");
    let first = server.pi(10).await;
    server.until(&first, "COMPLETED").await;
    let mut watch = Watch::open(&server.url, "taskChanges", &query, json!({})).await;
    assert_eq!(watch.next().await.unwrap()["id"], *first);

    let start = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id } }";
    let timer = json!({ "url": "http://127.0.0.1:9/hook", "when": { "after": { "seconds": 3600 } },
        "label": "x".repeat(200) });
    let mut ids = BTreeSet::new();
    for _ in 0..4 {
        let started = server.data(start, json!({ "inputs": vec![&timer; 1000] })).await;
        let id = |task: &Value| task["id"].as_str().unwrap().to_owned();
        ids.extend(started["startTimers"].as_array().unwrap().iter().map(id));
    }
    let last = ids.first().unwrap().clone();
    server.control("terminate", &last).await;
    let mut told = BTreeSet::new();
    let mut is_over = false;
    while told.len() < ids.len() || !is_over {
        let task = watch.next().await.unwrap();
        told.insert(task["id"].as_str().unwrap().to_owned());
        is_over |= task["id"] == *last && task["state"] == "TERMINATED";
    }
    assert_eq!(told, ids);
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let lagged = metrics.lines().find_map(|line| line.strip_prefix("pausa_events_lagged_total ")).unwrap();
    assert!(lagged.parse::<u64>().unwrap() > 0, "the client did not fall behind");
}
